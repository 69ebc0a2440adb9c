"""The command `haizen-runtime`: `serve` (the default) and `download`."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from haizen_runtime.protocol.errors import StartError
from haizen_runtime.settings import Settings, help_text

log = logging.getLogger("haizen_runtime")

DEFAULT_TERMINATION_LOG = "/dev/termination-log"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if argv[:1] == ["download"]:
        from haizen_runtime.storage.download import run_download

        return run_download(argv[1:], os.environ)
    if argv[:1] == ["serve"]:
        del argv[0]
    if any(argument in ("--help", "-h") for argument in argv):
        sys.stdout.write(help_text() + "\n")
        return 0
    termination_log = os.environ.get("HAIZEN_TERMINATION_LOG", DEFAULT_TERMINATION_LOG)
    try:
        settings, warnings = Settings.parse(argv, os.environ)
        termination_log = settings.termination_log
        configure_logging(settings)
        for warning in warnings:
            log.warning(warning)
        _serve(settings)
    except StartError as error:
        return _leave(report_fatal(error, termination_log))
    return _leave(0)


def configure_logging(settings: Settings) -> None:
    """Log to stderr."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it warns of every client that speaks no HTTP


def _serve(settings: Settings) -> None:
    """Serve until a signal. What takes long begins first: the download and the library's import beside the server's."""
    # Imports make objects that stay: without the collector, which goes through them again and again, a library's
    # import takes a tenth less. It is back once the model is loaded.
    gc.disable()
    from haizen_runtime.listening import bind
    from haizen_runtime.startup import ModelLoader

    listener = bind(settings.host, settings.http_port)
    try:
        loader = ModelLoader(settings, os.environ)
        loader.begin()
        from haizen_runtime.serving import serve

        serve(settings, [loader.model()], listener)
    finally:
        listener.close()


def _leave(exit_code: int) -> int:
    """End the process when a thread still downloads or imports; the interpreter's own end can crash below such code."""
    if threading.active_count() > 1:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    return exit_code


def report_fatal(error: StartError, termination_log: str) -> int:
    """One line for people on stderr, one JSON line for the operator in the termination log; returns the exit code."""
    import json

    message = " ".join(error.message.split())[:2000]
    sys.stderr.write(f"haizen-runtime: {error.reason}: {message}\n")
    line = json.dumps({"reason": error.reason, "message": message, "exitCode": error.exit_code})
    path = Path(termination_log)
    try:
        if path.exists() or path.parent != Path("/dev"):  # never make a file in /dev outside a pod
            path.write_text(line + "\n")
    except OSError as failure:
        log.debug("cannot write %s: %s", termination_log, failure)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
