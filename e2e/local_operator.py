"""The operator as a process on this machine, for stories that kill it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from e2e.installation import NAMESPACE


class LocalOperator:
    """Starts, kills and restarts `haizen-operator` against a kubeconfig."""

    def __init__(self, kubeconfig: Path, log: Path, port: int) -> None:
        self.log = log
        self.starts = 0
        self._environ = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "POD_NAME": "haizen-operator-local",
            "POD_NAMESPACE": NAMESPACE,
            "HAIZEN_OPERATOR_RUNTIME_IMAGE": "dev.local/haizen-runtime:e2e",
            "HAIZEN_OPERATOR_KNATIVE_NAMESPACE": "knative-serving",
            "HAIZEN_OPERATOR_HTTP_PORT": str(port),
            # The Lease of one that was killed runs out sooner than with the defaults, which every kill would wait for.
            "HAIZEN_OPERATOR_LEASE_SECONDS": "8",
            "HAIZEN_OPERATOR_LEASE_RENEW_DEADLINE_SECONDS": "6",
            "HAIZEN_OPERATOR_LEASE_RETRY_SECONDS": "1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output goes to the log."""
        self.starts += 1
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "haizen_operator.main"], env=self._environ, stdout=output, stderr=output
            )

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory runs out."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(timeout=10)

    def running(self) -> bool:
        """Say whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when it does not end."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()
