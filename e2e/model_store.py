"""An S3 server in the cluster that holds the stories' models, and the ServiceAccount that may read it."""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
from botocore.config import Config

from e2e.kubectl import Kubectl, Manifest, wait_for

NAMESPACE = "haizen-model-store"
BUCKET = "models"
PORT = 9000
IMAGE = "dev.local/haizen-model-store:e2e"
KEY_ID, SECRET_KEY = "e2e-reader", "e2e-not-a-secret"


class ModelStore:
    """Uploads models and hands out the objects a namespace needs to read them."""

    SERVICE_ACCOUNT = "model-reader"

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl
        self.endpoint = f"model-store.{NAMESPACE}.svc.cluster.local:{PORT}"

    def uri(self, path: str) -> str:
        """Return the storageUri of an uploaded folder or object."""
        return f"s3://{BUCKET}/{path}"

    def deploy(self) -> None:
        """Run the server and wait until it answers."""
        labels = {"app": "model-store"}
        container = {
            "name": "s3",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "ports": [{"containerPort": PORT}],
            "readinessProbe": {"httpGet": {"path": "/moto-api/", "port": PORT}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        }
        self.kubectl.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "model-store", "namespace": NAMESPACE},
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "model-store", "namespace": NAMESPACE},
                "spec": {"selector": labels, "ports": [{"port": PORT, "targetPort": PORT}]},
            },
        )
        self.kubectl.run(
            "rollout", "status", "deployment/model-store", "-n", NAMESPACE, "--timeout=180s", timeout_seconds=200
        )

    def access(self, namespace: str) -> list[Manifest]:
        """Return the Secret and the ServiceAccount that KServe users would write for this store."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "model-store",
                "namespace": namespace,
                "annotations": {
                    "serving.kserve.io/s3-endpoint": self.endpoint,
                    "serving.kserve.io/s3-usehttps": "0",
                    "serving.kserve.io/s3-region": "us-east-1",
                },
            },
            "stringData": {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
        }
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": self.SERVICE_ACCOUNT, "namespace": namespace},
            "secrets": [{"name": "model-store"}],
        }
        return [secret, account]

    def upload(self, files: dict[str, Path]) -> None:
        """Put files into the bucket: {key: local path}."""
        with self._forwarded() as endpoint:
            client = boto3.client(
                "s3",
                endpoint_url=endpoint,
                aws_access_key_id=KEY_ID,
                aws_secret_access_key=SECRET_KEY,
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 5}),
            )
            with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket=BUCKET)
            for key, path in files.items():
                client.upload_file(str(path), BUCKET, key)

    @contextlib.contextmanager
    def _forwarded(self) -> Iterator[str]:
        command = [
            "kubectl",
            "--kubeconfig",
            str(self.kubectl.kubeconfig),
            "port-forward",
            "-n",
            NAMESPACE,
            "service/model-store",
            f":{PORT}",
        ]
        forward = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert forward.stdout is not None
        try:
            line = wait_for("kubectl port-forward listens", lambda: forward.stdout and forward.stdout.readline(), 30)
            match = re.search(r"127\.0\.0\.1:(\d+)", line)
            if match is None:
                raise RuntimeError(f"kubectl port-forward to the model store: {line.strip()}")
            time.sleep(0.1)
            yield f"http://127.0.0.1:{match.group(1)}"
        finally:
            forward.terminate()
            forward.wait(timeout=60)
