"""Brings the files of one source into a folder: parallel ranges, retries, resume, checksums, bounded memory."""

import contextlib
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from haizen_runtime.storage.errors import Cancelled, SourceChanged, TransientError, failed
from haizen_runtime.storage.filejob import FileJob
from haizen_runtime.storage.limits import MIB, Limits, backoff_delay
from haizen_runtime.storage.pace import Pace
from haizen_runtime.storage.sources import ProgressCallback, RemoteFile, Source


class Stop:
    """Asks every worker to stop: set by the caller (cancel) or by the first failure."""

    def __init__(self, cancel: threading.Event | None) -> None:
        self._cancel = cancel
        self._failed = threading.Event()

    def set(self) -> None:
        """Stop because something failed."""
        self._failed.set()

    def check(self) -> None:
        """Raise Cancelled when it is time to stop."""
        if self._failed.is_set() or (self._cancel is not None and self._cancel.is_set()):
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond a stop."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            self._failed.wait(min(left, 0.1))


class Transfer:
    """One attempt to bring a list of files; what is already in the folder's journals is not fetched again."""

    def __init__(
        self,
        source: Source,
        data: Path,
        state: Path,
        limits: Limits,
        uri: str,
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self._source, self._data, self._state, self._limits, self._uri = source, data, state, limits, uri
        self._progress, self._cancel = progress, cancel
        self._stop = Stop(cancel)
        self._lock = threading.Lock()
        self._done = 0
        self._total: int | None = None

    def run(self, files: Sequence[RemoteFile]) -> None:
        """Bring ``files``.

        Raises DownloadError; SourceChanged when a file changed meanwhile (list again and run a new transfer:
        unchanged files are kept); OSError from the local disk.
        """
        sizes = [file.size for file in files]
        self._total = None if None in sizes else sum(size or 0 for size in sizes)
        with contextlib.ExitStack() as stack:
            stack.callback(self._stop.set)
            jobs = [FileJob(file, self._data, self._state, self._limits.part_bytes) for file in files]
            for job in jobs:
                stack.callback(job.close)
            pool = ThreadPoolExecutor(self._limits.concurrency, thread_name_prefix="haizen-download")
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            futures = [pool.submit(self._part, job, index) for job in jobs for index in range(len(job.parts))]
            pending = set(futures)
            try:
                while pending:
                    finished, pending = wait(pending, timeout=0.25, return_when=FIRST_EXCEPTION)
                    for future in finished:
                        future.result()
                    if self._cancel is not None and self._cancel.is_set():
                        raise Cancelled(self._uri)
            except BaseException:
                self._stop.set()
                self._source.close()  # readers that wait for a slow server end now
                raise

    def _part(self, job: FileJob, index: int) -> None:
        offset, length = job.parts[index]
        tries = 0
        self._stop.check()
        self._count(job, job.open())
        while not job.file.resumable or job.done(index) < (length or 0):
            self._stop.check()
            before = job.done(index)
            try:
                self._attempt(job, index, offset, length)
                break
            except TransientError as error:
                if job.file.resumable and job.done(index) - before >= min(MIB, self._limits.part_bytes // 8):
                    tries = 0  # a server that cuts every connection but always gives something is still a source
                tries += 1
                self._wait_after(tries, error, job)
        if job.part_finished(index):
            self._verify(job)
            job.close()

    def _verify(self, job: FileJob) -> None:
        tries = 0
        while True:
            try:
                return job.verify(self._uri, self._source.doubts)
            except TransientError as error:
                tries += 1
                self._wait_after(tries, error, job)

    def _wait_after(self, tries: int, error: TransientError, job: FileJob) -> None:
        """Wait before the next try; raises DownloadError when there is none."""
        if tries >= self._limits.attempts:
            raise failed(f"{job.file.path}: {error} (tried {tries} times)", self._uri) from error
        jitter = random.random()  # noqa: S311 - spreads replicas, guards nothing
        self._stop.sleep(backoff_delay(tries, self._limits, jitter, error.retry_after))

    def _attempt(self, job: FileJob, index: int, offset: int, length: int | None) -> None:
        if not job.file.resumable:
            self._count(job, -job.restart(index))
        arrived = job.done(index)
        want = None if length is None or not job.file.resumable else length - arrived
        pace = Pace(self._limits.min_bytes_per_second, self._limits.stall_seconds, time.monotonic())
        with self._source.open(job.file, offset + arrived, want) as body:
            for chunk in body:
                self._stop.check()
                if length is not None and arrived + len(chunk) > length:
                    raise SourceChanged
                job.write(chunk, offset + arrived)
                arrived += len(chunk)
                job.record(index, arrived)
                self._count(job, len(chunk))
                if pace.too_slow(len(chunk), time.monotonic()):
                    raise TransientError(f"slower than {self._limits.min_bytes_per_second} bytes a second")
        if length is not None and arrived != length:
            raise TransientError(f"the connection was cut with {length - arrived} bytes to go")

    def _count(self, job: FileJob, count: int) -> None:
        with self._lock:
            self._done += count
            if self._limits.max_bytes and self._done > self._limits.max_bytes:
                raise failed(f"the model is larger than HAIZEN_STORAGE_MAX_BYTES={self._limits.max_bytes}", self._uri)
            if self._progress is not None and count:
                self._progress(self._done, self._total, job.file.path)
