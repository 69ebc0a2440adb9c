"""Manifests in KServe's style: every field of our kinds at least once."""

from typing import Any

from haizen_operator.api import LEGACY_FRAMEWORKS

Manifest = dict[str, Any]

CONTAINER: Manifest = {
    "name": "kserve-container",
    "image": "example.com/server:1.2",
    "imagePullPolicy": "IfNotPresent",
    "command": ["/bin/server"],
    "args": ["--model_name={{.Name}}", "--http_port=8080"],
    "workingDir": "/srv",
    "env": [
        {"name": "STORAGE_URI", "value": "gs://bucket/model"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token", "optional": True}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}},
    ],
    "envFrom": [{"configMapRef": {"name": "settings"}}, {"prefix": "S_", "secretRef": {"name": "more"}}],
    "ports": [{"name": "h2c", "containerPort": 8080, "protocol": "TCP"}],
    "resources": {
        "requests": {"cpu": "500m", "memory": "1.5Gi", "ephemeral-storage": "1e9"},
        "limits": {"cpu": 2, "memory": "4Gi", "nvidia.com/gpu": "1", "nvidia.com/mig-1g.10gb": 1},
        "claims": [{"name": "gpu"}],
    },
    "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8080}, "periodSeconds": 5},
    "livenessProbe": {"tcpSocket": {"port": "h2c"}, "initialDelaySeconds": 10, "failureThreshold": 3},
    "startupProbe": {"exec": {"command": ["true"]}, "timeoutSeconds": 1},
    "lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}},
    "securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
    "volumeMounts": [{"name": "cache", "mountPath": "/cache", "readOnly": True, "subPath": "models"}],
    "volumeDevices": [{"name": "disk", "devicePath": "/dev/xvda"}],
    "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
    "restartPolicy": "Always",
    "stdin": False,
    "stdinOnce": False,
    "tty": False,
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "FallbackToLogsOnError",
}

POD_SPEC: Manifest = {
    "serviceAccountName": "models",
    "serviceAccount": "models",
    "automountServiceAccountToken": False,
    "nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-l4"},
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["l4"]}]}]
            }
        }
    },
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5}],
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
    ],
    "volumes": [
        {"name": "cache", "emptyDir": {"sizeLimit": "1Gi", "medium": "Memory"}},
        {"name": "disk", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}},
        {"name": "config", "configMap": {"name": "settings", "items": [{"key": "a", "path": "b", "mode": 256}]}},
        {"name": "all", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "audience": "x"}}]}},
        {
            "name": "own",
            "ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}},
        },
    ],
    "imagePullSecrets": [{"name": "registry"}],
    "initContainers": [{"name": "prepare", "image": "example.com/prepare:1"}],
    "securityContext": {"fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "resources": {"limits": {"cpu": "4"}},
    "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
    "schedulingGates": [{"name": "example.com/wait"}],
    "readinessGates": [{"conditionType": "example.com/ready"}],
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["store"]}],
    "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
    "dnsPolicy": "ClusterFirst",
    "enableServiceLinks": False,
    "hostIPC": False,
    "hostNetwork": False,
    "hostPID": False,
    "hostUsers": True,
    "hostname": "model",
    "subdomain": "models",
    "setHostnameAsFQDN": False,
    "shareProcessNamespace": False,
    "nodeName": "node-1",
    "os": {"name": "linux"},
    "overhead": {"memory": "10Mi"},
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 10,
    "priorityClassName": "high",
    "restartPolicy": "Always",
    "runtimeClassName": "nvidia",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": 30,
    "activeDeadlineSeconds": 600,
}

EXTENSION: Manifest = {
    "minReplicas": 0,
    "maxReplicas": 5,
    "scaleTarget": 10,
    "scaleMetric": "concurrency",
    "scaleMetricType": "AverageValue",
    "containerConcurrency": 8,
    "timeout": 60,
    "canaryTrafficPercent": 10,
    "logger": {
        "mode": "all",
        "url": "http://sink.default/",
        "metadataHeaders": ["x-user"],
        "metadataAnnotations": ["team"],
        "storage": {
            "path": "/logs",
            "parameters": {"type": "s3"},
            "key": "default_s3",
            "serviceAccountName": "logs",
        },
        "marshallerUrl": "http://marshaller/",
        "batchSize": 10,
        "batchInterval": "10s",
    },
    "batcher": {"maxBatchSize": 32, "maxLatency": 500, "timeout": 60},
    "labels": {"team": "vision"},
    "annotations": {"autoscaling.knative.dev/window": "60s"},
}

AUTO_SCALING: Manifest = {
    "metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
        {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
        {
            "type": "External",
            "external": {
                "metric": {
                    "backend": "prometheus",
                    "serverAddress": "http://prometheus:9090",
                    "query": "sum(rate(http_requests_total[1m]))",
                    "namespace": "default",
                },
                "authenticationRef": {"authModes": "bearer", "authenticationRef": {"name": "prometheus"}},
                "target": {"type": "Value", "value": "100.5"},
            },
        },
        {
            "type": "PodMetric",
            "podmetric": {
                "metric": {
                    "backend": "opentelemetry",
                    "serverAddress": "otel:4317",
                    "metricNames": ["process_cpu"],
                    "query": "process_cpu",
                    "operationOverTime": "avg",
                },
                "target": {"type": "Value", "value": 4},
            },
        },
    ],
    "behavior": {
        "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "tolerance": "0.1"},
        "scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
    },
}


def model_fields() -> Manifest:
    """A model with every field, and an inline container."""
    container = {key: value for key, value in CONTAINER.items() if key not in ("name", "env")}
    return {
        **container,
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "storageUri": "s3://bucket/model",
        "storage": {"path": "model", "schemaPath": "schema.json", "parameters": {"type": "s3"}, "key": "minio"},
        "runtimeVersion": "v1.2",
        "protocolVersion": "v2",
        "confidential": {"enabled": False, "resourceId": "kbs:///repository/type/tag"},
    }


def service(name: str, spec: Manifest, annotations: dict[str, str] | None = None) -> Manifest:
    """An InferenceService."""
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}, "annotations": annotations or {}}
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": metadata, "spec": spec}


def runtime(kind: str, name: str, spec: Manifest) -> Manifest:
    """A ServingRuntime or ClusterServingRuntime."""
    metadata = {"name": name} if kind.startswith("Cluster") else {"name": name, "namespace": "default"}
    return {"apiVersion": "serving.kserve.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


_STANDARD = {"serving.kserve.io/deploymentMode": "RawDeployment", "serving.kserve.io/autoscalerClass": "keda"}
_MODEL: Manifest = {"modelFormat": {"name": "sklearn", "version": "1"}, "runtime": "kserve-sklearnserver"}
_POD_OF_A_RUNTIME: Manifest = {
    **{
        key: POD_SPEC[key]
        for key in (
            "volumes",
            "nodeSelector",
            "affinity",
            "tolerations",
            "imagePullSecrets",
            "hostIPC",
            "schedulerName",
            "resourceClaims",
        )
    },
    "labels": {"team": "vision"},
    "annotations": {"prometheus.kserve.io/port": "8080"},
}
_RUNTIME: Manifest = {
    **_POD_OF_A_RUNTIME,
    "containers": [CONTAINER],
    "supportedModelFormats": [
        {"name": "sklearn", "version": "1", "autoSelect": True, "priority": 1},
        {"name": "mlflow"},
    ],
    "protocolVersions": ["v1", "v2", "grpc-v2"],
    "multiModel": False,
    "disabled": False,
    "workerSpec": {
        **_POD_OF_A_RUNTIME,
        "containers": [{"name": "worker-container", "image": "example.com/worker:1"}],
        "pipelineParallelSize": 2,
        "tensorParallelSize": 1,
    },
}
_MODEL_MESH: Manifest = {
    "containers": [{"name": "triton", "image": "example.com/triton:1"}],
    "multiModel": True,
    "grpcEndpoint": "port:8085",
    "grpcDataEndpoint": "port:8001",
    "httpDataEndpoint": "port:8000",
    "replicas": 2,
    "storageHelper": {"disabled": True},
    "builtInAdapter": {
        "serverType": "triton",
        "runtimeManagementPort": 8001,
        "memBufferBytes": 134217728,
        "modelLoadingTimeoutMillis": 90000,
        "env": [{"name": "LOG", "value": "debug"}],
    },
}

CORPUS: dict[str, Manifest] = {
    **{f"legacy-{name}": service(name, {"predictor": {name: model_fields()}}) for name in LEGACY_FRAMEWORKS},
    "model-every-field": service(
        "everything", {"predictor": {"name": "main", **POD_SPEC, **EXTENSION, "model": {**model_fields(), **_MODEL}}}
    ),
    "custom-container": service("custom", {"predictor": {**POD_SPEC, "containers": [CONTAINER]}}),
    "collocated-transformer": service(
        "collocated",
        {"predictor": {"model": _MODEL, "containers": [{"name": "transformer-container", "image": "example.com/t:1"}]}},
    ),
    "storage-uris": service(
        "several",
        {
            "predictor": {
                "model": _MODEL,
                "storageUris": [{"uri": "s3://a/b"}, {"uri": "hf://org/model", "mountPath": "/mnt/adapters/one"}],
                "storageContainerName": "default",
            }
        },
    ),
    "worker-spec": service(
        "spread",
        {
            "predictor": {
                "model": {"modelFormat": {"name": "huggingface"}, "storageUri": "pvc://claim/llm"},
                "workerSpec": {
                    **POD_SPEC,
                    "containers": [{"name": "worker-container", "image": "example.com/worker:1"}],
                    "pipelineParallelSize": 2,
                    "tensorParallelSize": 4,
                },
            }
        },
        {"serving.kserve.io/autoscalerClass": "none"},
    ),
    "transformer-and-explainer": service(
        "chain",
        {
            "predictor": {"model": _MODEL},
            "transformer": {**POD_SPEC, **EXTENSION, "containers": [CONTAINER]},
            "explainer": {
                **EXTENSION,
                "art": {
                    "type": "SquareAttack",
                    "storageUri": "gs://bucket/explainer",
                    "runtimeVersion": "latest",
                    "config": {"nb_classes": "10"},
                    "resources": {"limits": {"cpu": "1"}},
                },
            },
        },
    ),
    "standard-auto-scaling": service(
        "scaled",
        {
            "predictor": {
                "model": _MODEL,
                "autoScaling": AUTO_SCALING,
                "deploymentStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1},
                },
            }
        },
        _STANDARD,
    ),
    "canaries": service(
        "canaries",
        {
            "predictor": {"name": "stable", "model": _MODEL, "minReplicas": 2},
            "canary": [
                {
                    "predictor": {"name": "next", "model": {**model_fields(), **_MODEL}, **POD_SPEC},
                    "trafficPercent": 10,
                },
                {"predictor": {"name": "later", "sklearn": {"storageUri": "s3://a"}}, "trafficPercent": 0},
            ],
        },
        _STANDARD,
    ),
    "serving-runtime": runtime("ServingRuntime", "everything", _RUNTIME),
    "cluster-serving-runtime": runtime("ClusterServingRuntime", "everything", _RUNTIME),
    "model-mesh-runtime": runtime("ServingRuntime", "mesh", _MODEL_MESH),
}
