"""The operator's settings: environment variables `HAIZEN_OPERATOR_<NAME>`, checked at start."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

PREFIX = "HAIZEN_OPERATOR_"


class InvalidSettings(Exception):
    """A setting has a value that cannot be used; the message names the variable, the value and what is expected."""


class Settings(BaseModel):
    """All that can be set; times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, str_strip_whitespace=True)

    namespace: str = "haizen-system"
    """Namespace of the operator's own objects: the Lease and, unless set otherwise, the ConfigMap ($POD_NAMESPACE)."""

    identity: str = ""
    """Name of this process in the Lease; empty means the host's name ($POD_NAME) and a random part."""

    config_map: str = "inferenceservice-config"
    """Name of the ConfigMap with KServe's configuration keys; it may be absent."""

    config_map_namespace: str = ""
    """Namespace of that ConfigMap; empty means the operator's own. After KServe it is in kserve."""

    knative_namespace: str = "knative-serving"
    """Namespace with Knative's config-features, config-autoscaler and config-defaults."""

    kubeconfig: str = ""
    """Path of a kubeconfig; empty means $KUBECONFIG, else the pod's ServiceAccount, else ~/.kube/config."""

    runtime_image: str = ""
    """Image of haizen's own runtime; empty means the one released with this operator."""

    runtime_images: Mapping[str, str] = Field(default_factory=dict)
    """Images of the runtime's other kinds, as kind=image by commas; others are runtime_image with -kind at its tag."""

    install_builtin_runtimes: bool = True
    """Whether the built-in ClusterServingRuntimes are applied at start where they are absent."""

    upgrade_builtin_runtimes: bool = False
    """Whether built-in ClusterServingRuntimes that exist are brought up to date at start; off, they are left alone."""

    enable_knative_features: tuple[str, ...] = ()
    """Flags to switch on in Knative's config-features, by commas, such as kubernetes.podspec-init-containers."""

    config_poll_seconds: float = Field(default=10.0, gt=0)
    """How often the ConfigMaps (ours and Knative's) are read; a change reconciles every InferenceService."""

    workers: int = Field(default=32, ge=1, le=256)
    """How many InferenceServices are reconciled at the same time."""

    resync_seconds: float = Field(default=600.0, gt=0)
    """A Ready InferenceService is looked at again after this time even if nothing happened (and up to a tenth more)."""

    recheck_min_seconds: float = Field(default=1.0, gt=0)
    """First pause between looks at an InferenceService that is not Ready; it doubles up to recheck_max_seconds."""

    recheck_max_seconds: float = Field(default=15.0, gt=0)
    """Longest pause between looks at an InferenceService that is not Ready."""

    retry_max_seconds: float = Field(default=60.0, gt=0)
    """Longest pause before an InferenceService whose reconcile failed is tried again."""

    request_timeout_seconds: float = Field(default=30.0, gt=0)
    """Longest wait for one answer of the API server."""

    watch_inactivity_seconds: float = Field(default=70.0, gt=0)
    """A watch that brought neither an event nor a bookmark for so long is opened anew (bookmarks come every 60 s)."""

    watch_dead_seconds: float = Field(default=300.0, gt=0)
    """The liveness probe fails when a watch has shown no sign of life for so long."""

    stuck_seconds: float = Field(default=300.0, gt=0)
    """The liveness probe fails when one reconcile has been running for so long."""

    leader_election: bool = True
    """Whether a Lease decides which of several operators acts; off, exactly one may run."""

    lease_name: str = "haizen-operator"
    """Name of the Lease, in the operator's namespace."""

    lease_seconds: float = Field(default=15.0, gt=0)
    """A leader that has not renewed its Lease for so long is taken over."""

    lease_renew_deadline_seconds: float = Field(default=10.0, gt=0)
    """A leader that cannot renew for so long gives up and exits; must be shorter than lease_seconds."""

    lease_retry_seconds: float = Field(default=2.0, gt=0)
    """Pause between tries to renew the Lease, or to get it."""

    http_port: int = Field(default=8081, ge=0, le=65535)
    """Port of /metrics, /healthz and /readyz; 0 takes a free one."""

    http_host: str = "0.0.0.0"  # noqa: S104 (probes and Prometheus come from outside the pod)
    """Address that the port is bound to."""

    log_format: Literal["json", "text"] = "json"
    """How log lines look: JSON objects, or text for people."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important level that is logged."""

    @property
    def config_namespace(self) -> str:
        """Namespace of the ConfigMap."""
        return self.config_map_namespace or self.namespace

    @field_validator("enable_knative_features", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("runtime_images", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        if any(not kind or not image for kind, _, image in pairs):
            raise ValueError("expected kind=image, by commas, such as torch=registry/haizen-runtime:1-torch")
        return {kind.strip(): image.strip() for kind, _, image in pairs}

    @model_validator(mode="after")
    def _lease_times_fit(self) -> "Settings":
        if not self.lease_retry_seconds < self.lease_renew_deadline_seconds < self.lease_seconds:
            raise ValueError(
                "lease_retry_seconds < lease_renew_deadline_seconds < lease_seconds is needed, got "
                f"{self.lease_retry_seconds:g}, {self.lease_renew_deadline_seconds:g} and {self.lease_seconds:g}"
            )
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings from variables `HAIZEN_OPERATOR_*`.

        Raises:
            InvalidSettings: a value cannot be used, or a variable with our prefix is no setting.
        """
        found: dict[str, object] = {
            name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)
        }
        if environment.get("POD_NAMESPACE"):
            found.setdefault("namespace", environment["POD_NAMESPACE"])
        if environment.get("POD_NAME"):
            found.setdefault("identity", environment["POD_NAME"])
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            raise InvalidSettings("; ".join(_problem(found, line) for line in error.errors())) from None


def _problem(found: Mapping[str, object], line: Mapping[str, object]) -> str:
    location = line["loc"]
    assert isinstance(location, tuple)
    if not location:
        return str(line["msg"])
    name = str(location[0])
    return f"{PREFIX}{name.upper()}={found.get(name, '')!r}: {line['msg']}"
