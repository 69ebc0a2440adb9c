"""Fails when a hand-written Python file has grown past the hard limit; `python -m tests.support.file_sizes`."""

import subprocess
import sys
from pathlib import Path

HARD_LIMIT_LINES = 600


def oversized(root: Path) -> list[tuple[str, int]]:
    """Return (path, lines) of every tracked Python file over the limit, generated protocol files aside."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=root, check=True, capture_output=True, text=True).stdout
    sizes = [(name, sum(1 for _ in (root / name).open())) for name in listed.split() if (root / name).is_file()]
    return [(name, lines) for name, lines in sizes if lines > HARD_LIMIT_LINES and "_pb2" not in name]


def main() -> int:
    """Print the offenders and return 1 when there are any."""
    offenders = oversized(Path(__file__).resolve().parents[2])
    for name, lines in offenders:
        print(f"{name}: {lines} lines, at most {HARD_LIMIT_LINES}: split it by concept", file=sys.stderr)
    return 1 if offenders else 0


if __name__ == "__main__":
    sys.exit(main())
