"""Every reason that a condition or an Event of ours may carry, in one list to search."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Machine-readable reasons, CamelCase as Kubernetes' conventions want them."""

    # The life of a service.
    READY = "Ready"
    RECONCILING = "Reconciling"
    DEPLOYING = "Deploying"
    ROUTE_NOT_READY = "RouteNotReady"
    REVISION_FAILED = "RevisionFailed"
    STOPPED = "Stopped"
    STOPPING = "Stopping"
    WAITING_FOR_DELETION = "WaitingForDeletion"
    NOTHING_TO_ROLL_BACK_TO = "NothingToRollBackTo"
    WAITING_FOR_REVISION = "WaitingForRevision"
    WAITING_FOR_KNATIVE = "WaitingForKnative"

    # What the user asked for.
    NOT_SUPPORTED_YET = "NotSupportedYet"
    INVALID_SPEC = "InvalidSpec"
    STORAGE_URI_NOT_SUPPORTED = "StorageUriNotSupported"
    CREDENTIALS_NOT_FOUND = "CredentialsNotFound"
    DEPLOYMENT_MODE_CHANGED = "DeploymentModeChanged"

    # KServe's words for a runtime that cannot be chosen; they appear in modelStatus too.
    RUNTIME_NOT_RECOGNIZED = "RuntimeNotRecognized"
    RUNTIME_DISABLED = "RuntimeDisabled"
    NO_SUPPORTING_RUNTIME = "NoSupportingRuntime"
    INVALID_PREDICTOR_SPEC = "InvalidPredictorSpec"

    # What the cluster says.
    NOT_OWNED = "NotOwned"
    KNATIVE_NOT_INSTALLED = "KnativeNotInstalled"
    KNATIVE_FEATURE_MISSING = "KnativeFeatureMissing"
    APPLY_REJECTED = "ApplyRejected"

    # Why a pod fails.
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_INVALID = "ContainerConfigInvalid"
    CONTAINER_CANNOT_RUN = "ContainerCannotRun"
    INIT_CONTAINER_FAILED = "InitContainerFailed"
    OUT_OF_MEMORY = "OOMKilled"
    CRASH_LOOP = "CrashLoopBackOff"
    CONTAINER_EXITED = "ContainerExited"
    READINESS_PROBE_FAILED = "ReadinessProbeFailed"
    EVICTED = "Evicted"
    VOLUME_MOUNT_FAILED = "VolumeMountFailed"
    SLOW_START = "SlowStart"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ADMISSION_DENIED = "AdmissionDenied"
    IMAGE_NOT_FOUND = "ImageNotFound"

    # What the model server says about itself in its termination message.
    INVALID_CONFIGURATION = "InvalidConfiguration"
    MODEL_LOAD_FAILED = "ModelLoadFailed"
    MODEL_DOWNLOAD_FAILED = "ModelDownloadFailed"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    UNTRUSTED_FORMAT = "UntrustedFormat"
    BACKEND_MISSING = "BackendMissing"

    # Events without a condition.
    INFERENCE_SERVICE_READY = "InferenceServiceReady"
    INFERENCE_SERVICE_NOT_READY = "InferenceServiceNotReady"
    SERVICE_RECREATED = "KnativeServiceRecreated"
    REVISION_ROLLED_OUT = "RevisionRolledOut"
    REVISION_ROLLED_BACK = "RevisionRolledBack"
    DRIFT_CORRECTED = "DriftCorrected"
    FIELD_WITHOUT_EFFECT = "FieldWithoutEffect"
