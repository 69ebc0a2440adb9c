"""Runs haizen's runtime as a child that does not outlive its parent: ``python -m haizen_cli.run.child PROGRAM ...``."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Linux's prctl: the signal a process gets when its parent dies."""


def end_with_parent(parent: int) -> None:
    """Ask the kernel (Linux) to end this process with its parent, also when the parent is killed outright."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the parent was gone before the kernel knew
        sys.exit(1)


def main() -> int | None:
    """Start the runtime (``runtime ARGS``) or fetch a model (``fetch URI FOLDER``)."""
    parent, program, *arguments = sys.argv[1:]
    end_with_parent(int(parent))
    if program == "fetch":
        from haizen_cli.run.fetch import fetch_child

        return fetch_child(*arguments)
    from haizen_runtime.main import main as runtime

    sys.argv = ["haizen-runtime", *arguments]
    result: int | None = runtime()
    return result


if __name__ == "__main__":
    sys.exit(main())
