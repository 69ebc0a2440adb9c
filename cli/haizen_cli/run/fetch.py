"""Brings a revision's models to this machine, in a child process: a download can be ended at any moment.

The child reports one JSON object a line on standard output: ``{"done": bytes, "total": bytes or null}`` while it
works, ``{"path": folder}`` when it is done, ``{"reason": ..., "message": ...}`` when it failed.
"""

import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from haizen_cli.run.process import Failure

REPORT_SECONDS = 0.1
"""The least time between two progress reports of a child."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes in all (None when the source does not say)."""


class FetchError(Exception):
    """A model that could not be fetched."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of everything that haizen keeps between runs: ``$HAIZEN_CACHE`` or ``~/.cache/haizen``."""
    return Path(environment.get("HAIZEN_CACHE") or Path.home() / ".cache" / "haizen")


def local_folder(uri: str) -> Path | None:
    """Return the folder that a ``file://`` URI names, None for other schemes and for single files."""
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        return None
    path = Path(unquote(parts.path))
    return path if path.is_dir() else None


def model_folder(cache: Path, uri: str) -> Path:
    """Return where the model of a URI is kept; ``file://`` folders are used where they are instead."""
    return cache / "models" / hashlib.sha256(uri.encode()).hexdigest()[:16]


async def fetch(uri: str, folder: Path, environment: Mapping[str, str], progress: Progress) -> Path:
    """Fetch the model of ``uri`` into ``folder`` and return the folder that holds it.

    Raises:
        FetchError: the source refused, broke off for good, or does not match its checksum.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "haizen_cli.run.child",
        str(os.getpid()),
        "fetch",
        uri,
        str(folder),
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    errors = asyncio.create_task(child.stderr.read())
    try:
        async for raw in child.stdout:
            report = _report(raw)
            if "reason" in report:
                raise FetchError(Failure(str(report["reason"]), str(report.get("message", ""))))
            if "path" in report:
                return Path(str(report["path"]))
            if "done" in report:
                progress(int(report["done"]), report.get("total"))
        code = await child.wait()
        last = (await errors).decode("utf-8", "replace").strip().splitlines()[-3:]
        message = "; ".join(last) or f"the download ended with exit code {code}"
        raise FetchError(Failure("ModelDownloadFailed", message, code))
    finally:
        if child.returncode is None:
            child.kill()  # done, failed or cancelled: nothing more is expected of it, and what arrived is kept
            await child.wait()
        errors.cancel()


def _report(raw: bytes) -> dict[str, Any]:
    try:
        report = json.loads(raw)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}


def fetch_child(uri: str, folder: str) -> int:
    """Fetch a model and report on standard output; the body of the child process."""
    from haizen_runtime.storage import DownloadError
    from haizen_runtime.storage import fetch as fetch_model

    last = 0.0

    def progress(done: int, total: int | None, _path: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_SECONDS or done == total:
            last = now
            _print({"done": done, "total": total})

    try:
        path = fetch_model(uri, folder, environ=os.environ, progress=progress, copy_local=False)
    except DownloadError as error:
        _print({"reason": error.reason, "message": str(error)})
        return 4
    _print({"path": str(path)})
    return 0


def _print(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
