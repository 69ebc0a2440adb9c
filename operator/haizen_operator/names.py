"""Every name the operator gives or reads: children, labels, annotations, containers, volumes, ports, environment.

KServe's names are kept to the letter, because users' dashboards, selectors and runtimes depend on them; ours live
under ``haizen.dev/``.
"""

SERVING_GROUP = "serving.kserve.io"
HAIZEN_DOMAIN = "haizen.dev"
MANAGER = "haizen-operator"

# --- components ------------------------------------------------------------------------------------------------------
PREDICTOR = "predictor"
TRANSFORMER = "transformer"
EXPLAINER = "explainer"

# --- labels ----------------------------------------------------------------------------------------------------------
LABEL_INFERENCE_SERVICE = "serving.kserve.io/inferenceservice"
LABEL_COMPONENT = "component"
LABEL_VISIBILITY = "networking.knative.dev/visibility"
#: KServe's spelling of the visibility label for Standard mode; honoured in Knative mode too.
LABEL_KSERVE_VISIBILITY = "networking.kserve.io/visibility"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_MODEL_CLASS = "modelClass"
LABEL_SERVICE_ENVELOPE = "serviceEnvelope"
#: Knative's labels on revisions and pods.
LABEL_KNATIVE_REVISION = "serving.knative.dev/revision"
LABEL_KNATIVE_SERVICE = "serving.knative.dev/service"
LABEL_KNATIVE_CONFIGURATION = "serving.knative.dev/configuration"
CLUSTER_LOCAL = "cluster-local"

# --- annotations of users (KServe) -----------------------------------------------------------------------------------
ANNOTATION_DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
ANNOTATION_AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"
ANNOTATION_METRICS = "serving.kserve.io/metrics"
ANNOTATION_TARGET_UTILIZATION = "serving.kserve.io/targetUtilizationPercentage"
ANNOTATION_TAG_ROUTING = "serving.kserve.io/enable-tag-routing"
ANNOTATION_STOP = "serving.kserve.io/stop"
ANNOTATION_DISABLE_AUTO_UPDATE = "serving.kserve.io/disable-auto-update"
ANNOTATION_METRIC_AGGREGATION = "serving.kserve.io/enable-metric-aggregation"
ANNOTATION_PROMETHEUS_SCRAPING = "serving.kserve.io/enable-prometheus-scraping"
ANNOTATION_GKE_ACCELERATOR = "serving.kserve.io/gke-accelerator"
ANNOTATION_STORAGE_SECRET = "serving.kserve.io/storageSecretName"  # noqa: S105 (the name of an annotation)
ANNOTATION_STORAGE_READONLY = "storage.kserve.io/readonly"
ANNOTATION_SERVER_TYPE = "serving.kserve.io/server-type"
ANNOTATION_MODEL_FORMAT = "modelFormat"
ANNOTATION_ROLLOUT_DURATION = "serving.knative.dev/rollout-duration"
ANNOTATION_ENABLE_PASSTHROUGH = "serving.knative.openshift.io/enablePassthrough"
ANNOTATION_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
INTERNAL_PREFIX = "internal.serving.kserve.io/"

# --- annotations of Knative's autoscaler -----------------------------------------------------------------------------
AUTOSCALING_PREFIX = "autoscaling.knative.dev/"
ANNOTATION_SCALING_CLASS = "autoscaling.knative.dev/class"
ANNOTATION_SCALING_METRIC = "autoscaling.knative.dev/metric"
ANNOTATION_SCALING_TARGET = "autoscaling.knative.dev/target"
ANNOTATION_MIN_SCALE = "autoscaling.knative.dev/min-scale"
ANNOTATION_MAX_SCALE = "autoscaling.knative.dev/max-scale"
ANNOTATION_INITIAL_SCALE = "autoscaling.knative.dev/initial-scale"
KPA_CLASS = "kpa.autoscaling.knative.dev"

# --- our own annotations ---------------------------------------------------------------------------------------------
#: On a ServingRuntime: its server downloads STORAGE_URI by itself, so that no init container is needed.
ANNOTATION_DOWNLOADS_MODEL = "haizen.dev/downloads-model"
#: On the revision template: the hash of the template itself, so that a revision tells which template it is of.
ANNOTATION_TEMPLATE_HASH = "haizen.dev/template-hash"
#: On a child: the hash of the child as last applied.
ANNOTATION_DESIRED_HASH = "haizen.dev/desired-hash"
#: On the Knative Service: which runtime was chosen, and for which model (see ``selection``).
ANNOTATION_RUNTIME_CHOICE = "haizen.dev/runtime-choice"

# --- containers, volumes, paths --------------------------------------------------------------------------------------
CONTAINER_PREDICTOR = "kserve-container"
CONTAINER_TRANSFORMER = "transformer-container"
CONTAINER_STORAGE_INITIALIZER = "storage-initializer"
CONTAINER_QUEUE_PROXY = "queue-proxy"
VOLUME_MODEL = "kserve-provision-location"
VOLUME_PVC = "kserve-pvc-source"
VOLUME_CA_BUNDLE = "cabundle-cert"
VOLUME_GCS_CREDENTIALS = "user-gcp-sa"
MODEL_DIR = "/mnt/models"
TMP_DIR = "/tmp"  # noqa: S108 (a path inside the pod)

# --- ports -----------------------------------------------------------------------------------------------------------
HTTP_PORT = 8080
#: Knative reads the protocol of a pod's only port from its name; h2c carries HTTP/1.1, HTTP/2 and gRPC.
H2C_PORT_NAME = "h2c"

# --- environment -----------------------------------------------------------------------------------------------------
ENV_INFERENCE_SERVICE = "INFERENCE_SERVICE_NAME"
ENV_STORAGE_URI = "STORAGE_URI"
ENV_STORAGE_URIS = "HAIZEN_STORAGE_URIS"
ENV_STORAGE_CONFIG = "STORAGE_CONFIG"
ENV_STORAGE_OVERRIDE_CONFIG = "STORAGE_OVERRIDE_CONFIG"

# --- objects of the cluster ------------------------------------------------------------------------------------------
KSERVE_CONFIG_MAP = "inferenceservice-config"
KNATIVE_FEATURES_CONFIG_MAP = "config-features"
KNATIVE_AUTOSCALER_CONFIG_MAP = "config-autoscaler"
KNATIVE_DEFAULTS_CONFIG_MAP = "config-defaults"
STORAGE_CONFIG_SECRET = "storage-config"  # noqa: S105 (the name of a secret)
DEFAULT_SERVICE_ACCOUNT = "default"
#: KServe's finalizer, left behind on services that come from it.
KSERVE_FINALIZER = "inferenceservice.finalizers"


def component_service_name(inference_service: str, component: str) -> str:
    """Name of the Knative Service of a component, such as ``iris-predictor`` (KServe's rule)."""
    return f"{inference_service}-{component}"


def predictor_service_name(inference_service: str) -> str:
    """Name of the predictor's Knative Service: ``<isvc>-predictor``."""
    return component_service_name(inference_service, PREDICTOR)
