"""The operator as a real process, started and stopped by tests."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.operator.reconcile.cluster_world import wait_for

_QUICK = {
    "HAIZEN_OPERATOR_RECHECK_MIN_SECONDS": "0.2",
    "HAIZEN_OPERATOR_RECHECK_MAX_SECONDS": "1",
    "HAIZEN_OPERATOR_RETRY_MAX_SECONDS": "2",
    "HAIZEN_OPERATOR_CONFIG_POLL_SECONDS": "0.5",
    # Long, since a leader that a busy machine does not let renew in time gives up and exits.
    "HAIZEN_OPERATOR_LEASE_SECONDS": "30",
    "HAIZEN_OPERATOR_LEASE_RENEW_DEADLINE_SECONDS": "25",
    "HAIZEN_OPERATOR_LEASE_RETRY_SECONDS": "0.5",
    "HAIZEN_OPERATOR_LOG_FORMAT": "text",
    "HAIZEN_OPERATOR_HTTP_PORT": "0",
    "HAIZEN_OPERATOR_HTTP_HOST": "127.0.0.1",
}


@dataclass
class OperatorProcess:
    """A running operator."""

    process: "subprocess.Popen[bytes]"
    log: Path
    port: int = 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def terminate(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=60)

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def metric(self, name: str, *labels: str) -> float:
        """The sum of a metric's samples whose line holds all the labels, each written as key="value"."""
        return sum(value for line, value in self._samples(name) if all(label in line for label in labels))

    def writes(self) -> float:
        """How often the operator wrote anything but its Lease."""
        samples = self._samples("haizen_operator_api_writes_total")
        return sum(value for line, value in samples if 'kind="Lease"' not in line)

    def is_at_rest(self) -> bool:
        """Whether each reconcile that has read its InferenceService is over, with all that it wrote and posted."""
        over = self.metric("haizen_operator_reconciles_total")  # read first: those begun since do not count as over
        reads = "haizen_operator_api_requests_total"
        begun = sum(self.metric(reads, 'verb="get"', 'kind="InferenceService"', f'status="{it}"') for it in (200, 404))
        return begun <= over

    def _samples(self, name: str) -> list[tuple[str, float]]:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=60, trust_env=False)
        lines = [line for line in answer.text.splitlines() if line.startswith((name + "{", name + " "))]
        return [(line, float(line.rsplit(" ", 1)[1])) for line in lines]

    def probe(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=60, trust_env=False)


@contextmanager
def run_operator(kubeconfig: Path, **settings: str) -> Iterator[OperatorProcess]:
    """Start `python -m haizen_operator.main`; it is killed at the end if it still runs."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HAIZEN_OPERATOR_")}
    environment |= _QUICK | {"HAIZEN_OPERATOR_KUBECONFIG": str(kubeconfig)}
    environment |= {f"HAIZEN_OPERATOR_{key.upper()}": value for key, value in settings.items()}
    with tempfile.TemporaryDirectory(prefix="haizen-operator-") as folder:
        log = Path(folder) / "operator.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "haizen_operator.main"], stdout=sink, stderr=sink, env=environment
            )
        running = OperatorProcess(process, log)
        try:
            wait_for(lambda: _port(running), lambda: f"the operator starts:\n{running.text()}")
            yield running
        except BaseException:
            sys.stderr.write(f"\n--- operator's log ---\n{running.text()[-6000:]}\n")
            raise
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _port(running: OperatorProcess) -> bool:
    assert running.process.poll() is None, f"the operator exited:\n{running.text()}"
    for line in running.text().splitlines():
        if "metrics and probes on port" in line:
            running.port = int(line.rsplit(" ", 1)[1])
            return running.probe("/readyz").status_code == 200
    return False
