"""Fetch a model: decide the source, bring the files, unpack, publish. The story of a download is told here."""

import errno
import json
import os
import random
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256 as sha256_hash
from pathlib import Path
from typing import Any

from haizen_runtime.storage.errors import (
    Cancelled,
    ChecksumMismatch,
    DownloadError,
    SourceChanged,
    TransientError,
    failed,
    misconfigured,
)
from haizen_runtime.storage.factory import make_source, resolve_uri
from haizen_runtime.storage.limits import Limits, backoff_delay
from haizen_runtime.storage.paths import UnsafePath, archive_kind, first_collision, human, safe_relative
from haizen_runtime.storage.patterns import Patterns
from haizen_runtime.storage.sources import Checksum, ProgressCallback, RemoteFile, Source
from haizen_runtime.storage.staging import Place
from haizen_runtime.storage.uris import redact


def fetch(
    uri: str,
    destination: str | os.PathLike[str],
    *,
    environ: Mapping[str, str],
    progress: ProgressCallback | None = None,
    limits: Limits | None = None,
    cancel: threading.Event | None = None,
    sha256: str | None = None,
    copy_local: bool = True,
) -> Path:
    """Bring the model at ``uri`` to the folder ``destination`` and return that folder.

    A complete earlier download of the same URI is reused without asking the source; an interrupted one goes on where
    it stopped. A source of exactly one archive (.tar, .tar.gz, .tgz, .zip) is unpacked. Nothing is seen at the
    destination before everything is there. Credentials come from ``environ`` alone.

    Args:
        uri: a path, or file, http, https, s3, gs, hf, or https of Azure Blob; ``#sha256=<hex>`` promises a digest.
        destination: a folder, created if need be; may be a mount point.
        environ: variables in KServe's spelling, and ``HAIZEN_STORAGE_*`` for the limits.
        progress: see ``ProgressCallback``; called from worker threads, one call at a time.
        limits: bounds; read from ``environ`` when not given.
        cancel: when set, the fetch ends with Cancelled; what arrived is kept for the next one.
        sha256: the hexadecimal digest of the single file or archive, as the fragment would promise it.
        copy_local: False returns the path of a local file or folder itself instead of a copy of it.

    Raises:
        DownloadError: with reason InvalidConfiguration, ModelDownloadFailed, ChecksumMismatch or Cancelled.
    """
    return _Fetch(uri, Path(destination), environ, progress, limits, cancel, sha256).run(copy_local=copy_local)


def fetch_all(
    pairs: Sequence[tuple[str, str | os.PathLike[str]]],
    *,
    environ: Mapping[str, str],
    progress: ProgressCallback | None = None,
    limits: Limits | None = None,
    cancel: threading.Event | None = None,
) -> list[Path]:
    """Fetch several (URI, destination) pairs, one after the other (each uses all connections by itself).

    Raises DownloadError of the first that fails; also when two destinations are the same folder.
    """
    seen: dict[str, str] = {}
    for uri, destination in pairs:
        place = os.path.abspath(destination)
        if place in seen:
            raise misconfigured(f"{redact(seen[place])} and {redact(uri)} have the same destination {place}")
        seen[place] = uri
    return [
        fetch(uri, destination, environ=environ, progress=progress, limits=limits, cancel=cancel)
        for uri, destination in pairs
    ]


class _Fetch:
    def __init__(
        self,
        uri: str,
        destination: Path,
        environ: Mapping[str, str],
        progress: ProgressCallback | None,
        limits: Limits | None,
        cancel: threading.Event | None,
        sha256: str | None,
    ) -> None:
        self._shown = redact(uri)
        try:
            self._limits = limits or Limits.from_environ(environ)
            self._uri, self._environ = resolve_uri(uri, environ)
            self._patterns = Patterns.from_environ(self._environ)
        except ValueError as error:
            raise misconfigured(str(error), uri) from None
        self._shown = redact(self._uri.without_fragment)
        digest = (sha256 or self._uri.sha256 or "").lower()
        if digest and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
            raise misconfigured("sha256 must be 64 hexadecimal digits", uri)
        self._checksum = Checksum("sha256", digest) if digest else None
        self._place = Place.at(destination)
        self._progress, self._cancel = progress, cancel

    def run(self, *, copy_local: bool) -> Path:
        if self._uri.scheme == "file" and self._is_there():
            return self._place.destination
        if not copy_local and self._uri.scheme == "file" and self._checksum is None:
            from haizen_runtime.storage.source_file import local_path

            path = local_path(self._uri)
            if not path.exists():
                raise failed(f"there is no file or folder {path}", self._shown)
            if archive_kind(path.name) is None:
                return path.absolute()
        identity = self._identity()
        if self._place.complete(identity):
            return self._place.destination
        try:
            with self._place.locked(self._limits.lock_timeout, self._check_cancel):
                if not self._place.complete(identity):
                    self._download(identity)
        except OSError as error:
            raise self._local_failure(error) from error
        return self._place.destination

    def _is_there(self) -> bool:
        """Whether a local source is the destination itself (a volume mounted where the model is looked for)."""
        from haizen_runtime.storage.source_file import local_path

        source, destination = local_path(self._uri).resolve(), self._place.destination.resolve()
        if source == destination and source.is_dir():
            return True
        if source.is_dir() and source in destination.parents:
            raise misconfigured(f"the destination {destination} lies inside the source {source}", self._shown)
        return False

    def _download(self, identity: dict[str, Any]) -> None:
        staging = self._place.staging
        note = staging / "source.json"
        wanted = json.dumps(identity, sort_keys=True)
        if not note.is_file() or note.read_text(encoding="utf-8") != wanted:
            self._place.discard_staging()
        data, state = staging / "data", staging / "state"
        data.mkdir(parents=True, exist_ok=True)
        state.mkdir(exist_ok=True)
        note.write_text(wanted, encoding="utf-8")
        try:
            files = self._bring(data, state)
            model = self._unpacked(files, data)
            self._place.publish(model, {**identity})
        except ChecksumMismatch:
            self._place.discard_staging()
            raise
        except DownloadError as error:
            if error.reason != "Cancelled" and not any(
                path.stat().st_size for path in data.rglob("*") if path.is_file()
            ):
                self._place.discard_staging()
            raise
        self._place.discard_staging()

    def _bring(self, data: Path, state: Path) -> list[RemoteFile]:
        """Bring all files; a source that changes meanwhile is listed anew, a wrong digest is tried once more."""
        from haizen_runtime.storage.transfer import Transfer  # not needed for a model that is there

        changes, mismatches = 0, 0
        while True:
            source = make_source(self._uri, self._environ, self._limits)
            try:
                files = self._listed(source)
                _drop_strangers(data, files)
                self._check_space(files, data)
                Transfer(source, data, state, self._limits, self._shown, self._progress, self._cancel).run(files)
                return files
            except SourceChanged:
                changes += 1
                if changes > self._limits.max_restarts:
                    raise failed(f"the source changed {changes} times while it was downloaded", self._shown) from None
            except ChecksumMismatch:
                mismatches += 1
                if mismatches > 1:
                    raise
            finally:
                source.close()

    def _listed(self, source: Source) -> list[RemoteFile]:
        files = self._patterns.filter(self._list_with_retries(source))
        if not files:
            raise failed(f"no file passes the patterns {self._patterns}", self._shown)
        if len(files) > self._limits.max_files:
            raise failed(
                f"{len(files)} files are more than HAIZEN_STORAGE_MAX_FILES={self._limits.max_files}", self._shown
            )
        try:
            files = [replace(file, path=safe_relative(file.path)) for file in files]
        except UnsafePath as error:
            raise failed(f"the source holds a file whose name is refused: {error}", self._shown) from None
        collision = first_collision(sorted(file.path for file in files))
        if collision is not None:
            raise failed(f"{collision!r} is the name of a file and of another file or folder", self._shown)
        if self._checksum is not None:
            if len(files) != 1:
                raise misconfigured(f"sha256 is promised for one file, but there are {len(files)} files", self._shown)
            files = [replace(files[0], checksum=self._checksum)]
        return files

    def _list_with_retries(self, source: Source) -> list[RemoteFile]:
        tries = 0
        while True:
            self._check_cancel()
            try:
                return source.files()
            except TransientError as error:
                tries += 1
                if tries >= self._limits.attempts:
                    raise failed(f"{error} (tried {tries} times)", self._shown) from error
                jitter = random.random()  # noqa: S311 - spreads replicas, guards nothing
                self._sleep(backoff_delay(tries, self._limits, jitter, error.retry_after))

    def _unpacked(self, files: list[RemoteFile], data: Path) -> Path:
        """Unpack a model that is one archive (KServe's rule); anything else stays as it is."""
        kind = archive_kind(files[0].path) if len(files) == 1 else None
        if kind is None:
            return data
        from haizen_runtime.storage.archives import unpack

        model = data.parent / "unpacked"
        shutil.rmtree(model, ignore_errors=True)
        model.mkdir()
        archive = data / files[0].path
        unpack(archive, kind, model, self._limits, self._shown, self._check_cancel)
        archive.unlink()
        return model

    def _check_space(self, files: list[RemoteFile], data: Path) -> None:
        needed = sum(file.size or 0 for file in files)
        if self._limits.max_bytes and needed > self._limits.max_bytes:
            raise failed(
                f"the model has {human(needed)}, more than HAIZEN_STORAGE_MAX_BYTES={self._limits.max_bytes}",
                self._shown,
            )
        present = sum(path.stat().st_blocks * 512 for path in data.rglob("*") if path.is_file())
        free = shutil.disk_usage(data).free
        if needed - present > free:
            raise OSError(errno.ENOSPC, f"the model needs {human(needed)}, {human(free)} are free")

    def _local_failure(self, error: OSError) -> DownloadError:
        where = self._place.destination
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self._place.discard_staging()
            detail = error.strerror if error.strerror and "needs" in error.strerror else "the download was removed"
            return failed(f"no space left on the volume of {where} ({detail}); give it a larger volume", self._shown)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return misconfigured(
                f"{where} cannot be written ({error.strerror}); mount a writable volume there", self._shown
            )
        return failed(f"writing to {where} failed: {error.strerror or error}", self._shown)

    def _identity(self) -> dict[str, Any]:
        """Describe the source for the marker: readable, without secrets, and different for different URIs.

        Local files are cheap to look at, so theirs holds names, sizes and dates too: an edited file is noticed.
        """
        endpoint = [self._environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "S3_ENDPOINT", "HF_ENDPOINT")]
        digest = self._checksum.hexdigest if self._checksum else ""
        local: list[tuple[str, str | None]] = []
        if self._uri.scheme == "file":
            listed = make_source(self._uri, self._environ, self._limits).files()
            local = sorted((file.path, file.version) for file in listed)
        exact = json.dumps([self._uri.text, str(self._patterns), digest, endpoint, local])
        return {"uri": self._shown, "id": sha256_hash(exact.encode()).hexdigest()}

    def _check_cancel(self) -> None:
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled(self._shown)

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._check_cancel()
            time.sleep(min(left, 0.1))


def _drop_strangers(data: Path, files: list[RemoteFile]) -> None:
    """Remove what a former listing brought and the present one does not name."""
    wanted = {data / file.path for file in files}
    for path in sorted(data.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()) or path in wanted:
                shutil.rmtree(path)
        elif path not in wanted:
            path.unlink()
