"""A small file system of its own, as an emptyDir with a size limit is, for accounts that may not mount anything.

It is mounted in a mount namespace (and, where that needs no root, a user namespace) that a shell holds, and is seen
through /proc/<pid>/root. Nothing of it is left when the shell is gone.
"""

import subprocess
from pathlib import Path

SIZE = 8 << 20
_NAMESPACES = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])


class SmallVolume:
    """A tmpfs of 8 MiB; raises OSError where no kind of namespace is allowed."""

    def __init__(self, place: Path) -> None:
        self._place = place
        problems = []
        for command in _NAMESPACES:
            self._shell = subprocess.Popen(
                [*command, "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            said = self._run(f"mount -t tmpfs -o size={SIZE} tmpfs '{place}'")
            if said is None:
                self.path = Path(f"/proc/{self._shell.pid}/root{place}")
                return
            problems.append(f"{' '.join(command)}: {said}")
            self.close()
        raise OSError("; ".join(problems))

    def make_read_only(self) -> None:
        """Let nobody write any more."""
        said = self._run(f"mount -o remount,bind,ro '{self._place}'")
        assert said is None, said

    def close(self) -> None:
        """End the shell, and the volume with it."""
        self._shell.kill()
        self._shell.communicate()

    def _run(self, command: str) -> str | None:
        """Run a command in the namespace; returns what went wrong."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        try:
            self._shell.stdin.write(f"{command} && echo done || echo failed\n")
            self._shell.stdin.flush()
        except BrokenPipeError:
            return self._shell.stdout.read().strip()
        said = []
        for line in self._shell.stdout:
            if line == "done\n":
                return None
            if line == "failed\n":
                break
            said.append(line.strip())
        return " ".join(said) or "the shell ended"
