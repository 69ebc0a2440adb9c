"""A process that downloads: ``python loopback_download.py URI DIR [PART_BYTES]``; for tests that kill it."""

import sys

from haizen_runtime.storage import Limits, fetch

if __name__ == "__main__":
    limits = Limits(concurrency=4, part_bytes=int(sys.argv[3]) if len(sys.argv) > 3 else 1 << 20)
    fetch(sys.argv[1], sys.argv[2], environ={}, limits=limits)
