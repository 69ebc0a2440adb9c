import os
import subprocess
import sys
import time

from e2e.bench.process_tree import ProcessTree

# A daemon's way: the child of a process that ends, in a session of its own, deaf to SIGTERM.
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("up", flush=True)
    time.sleep(600)
"""


def test_what_a_server_left_behind_is_found_and_ended() -> None:
    tree = ProcessTree(f"test-{os.getpid()}-{time.monotonic_ns()}")
    command = [sys.executable, "-c", DAEMON]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **tree.environment}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.wait(30)
        (pid,) = tree.pids()
        assert pid != process.pid
        assert tree.memory_mib() > 1
        tree.end(patience_seconds=0.0)
    assert tree.pids() == []
