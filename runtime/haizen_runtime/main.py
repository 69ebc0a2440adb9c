"""The command `haizen-runtime`: `serve` (the default) and `download`."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections.abc import Sequence

from haizen_runtime.protocol.errors import StartError
from haizen_runtime.settings import Settings
from haizen_runtime.termination import DEFAULT_LOG, report_fatal

log = logging.getLogger("haizen_runtime")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if argv[:1] == ["download"]:
        from haizen_runtime.storage.download import run_download

        return run_download(argv[1:], os.environ)
    if argv[:1] == ["serve"]:
        del argv[0]
    if any(argument in ("--help", "-h") for argument in argv):
        from haizen_runtime.reference.texts import help_text

        sys.stdout.write(help_text() + "\n")
        return 0
    termination_log = os.environ.get("HAIZEN_TERMINATION_LOG", DEFAULT_LOG)
    try:
        settings, warnings = Settings.parse(argv, os.environ)
        termination_log = settings.termination_log
        configure_logging(settings)
        for warning in warnings:
            log.warning(warning)
        _serve(settings)
    except StartError as error:
        return leave(report_fatal(error, termination_log))
    return leave(0)


def configure_logging(settings: Settings) -> None:
    """Log to stderr."""
    from haizen_runtime.observing.logs import configure

    configure(settings.log_level, settings.log_format)


def _serve(settings: Settings) -> None:
    """Serve until a signal. What takes long begins first: the download and the library's import beside the server's."""
    # Imports make objects that stay: without the collector, which goes through them again and again, a library's
    # import takes a tenth less. It is back once the model is loaded.
    gc.disable()
    from haizen_runtime.listening import bind
    from haizen_runtime.startup import ModelLoader

    listener = bind(settings.host, settings.http_port)
    try:
        if settings.processes != 1:
            from haizen_runtime.engine.cpus import usable_cpus

            cpus = usable_cpus()
            if (settings.processes or cpus) > 1:
                from haizen_runtime.processes.supervisor import supervise

                gc.enable()
                supervise(settings, settings.processes or cpus, cpus, listener)
                return
        loader = ModelLoader(settings, os.environ)
        loader.begin()
        from haizen_runtime.serving import serve

        serve(settings, [loader.model()], listener)
    finally:
        listener.close()


def leave(exit_code: int) -> int:
    """End the process when a thread still downloads or imports; the interpreter's own end can crash below such code."""
    if threading.active_count() > 1:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
