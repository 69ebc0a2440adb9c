"""hf://org/model[:revision]: the Hugging Face hub, over its plain HTTP interface.

The hub's own client takes 0.5 s to import and keeps a second cache; two of its endpoints are all that a download
needs, and resume, checksums, limits and the address policy are then the same as everywhere.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from haizen_runtime.storage.errors import failed, misconfigured
from haizen_runtime.storage.http_client import HttpClient, Response
from haizen_runtime.storage.limits import MIB, Limits
from haizen_runtime.storage.source_http import open_url, status_error
from haizen_runtime.storage.sources import Body, Checksum, RemoteFile
from haizen_runtime.storage.uris import ModelUri

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")
_REVISION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")
MAX_LISTING = 64 * MIB


class HuggingFaceSource:
    """A model repository at one commit: the revision is resolved once, so that all files belong together."""

    def __init__(self, uri: ModelUri, environ: Mapping[str, str], limits: Limits) -> None:
        self._uri = uri.without_fragment
        self._repository, self._revision = parse_repository(self._uri)
        self._endpoint = (environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        if not self._endpoint.startswith(("http://", "https://")):
            raise misconfigured("HF_ENDPOINT must look like https://host", self._uri)
        self._client = HttpClient(environ, limits)
        token, self._credential = hub_token(environ)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._commit = ""

    def files(self) -> list[RemoteFile]:
        """Return the files of the revision with the hub's own checksums (sha256 of large files, git's of others)."""
        url = f"{self._endpoint}/api/models/{self._repository}"
        url += f"/revision/{quote(self._revision, safe='')}?blobs=true"
        with self._client.request("GET", url, self._headers) as response:
            if response.status != 200:
                raise self._refused(response)
            body = response.read(MAX_LISTING)
        try:
            info = json.loads(body)
            self._commit = str(info["sha"])
            files = [self._describe(item) for item in info["siblings"]]
        except (ValueError, KeyError, TypeError):
            raise failed(f"{self._endpoint} does not answer as a Hugging Face hub does; check HF_ENDPOINT") from None
        if not files:
            raise failed(f"the repository {self._repository} holds no files at {self._revision!r}", self._uri)
        return files

    def open(self, file: RemoteFile, offset: int, length: int | None) -> contextlib.AbstractContextManager[Body]:
        """See ``Source.open``; a commit never changes, so the version is not asked for again."""
        url = f"{self._endpoint}/{self._repository}/resolve/{self._commit}/{quote(file.key)}"
        # What the content network calls the bytes (its ETag) differs from the hub's checksum.
        return open_url(self._client, url, self._headers, file, offset, length, self._credential, validate=False)

    def doubts(self, file: RemoteFile) -> bool:
        """The promise comes from the user or is a digest by definition."""
        return False

    def close(self) -> None:
        """Break open connections."""
        self._client.close()

    def _describe(self, item: Mapping[str, object]) -> RemoteFile:
        name = str(item["rfilename"])
        large = item.get("lfs")
        checksum = None
        if isinstance(large, dict) and re.fullmatch(r"[0-9a-f]{64}", str(large.get("sha256"))):
            checksum = Checksum("sha256", str(large["sha256"]))
        elif not large and re.fullmatch(r"[0-9a-f]{40}", str(item.get("blobId"))):
            checksum = Checksum("git-sha1", str(item["blobId"]))
        size = item.get("size")
        version = f"{self._commit}:{checksum.hexdigest if checksum else ''}"
        known = isinstance(size, int) and size > 0
        return RemoteFile(name, name, size if isinstance(size, int) else None, version, known, checksum)

    def _refused(self, response: Response) -> Exception:
        code = response.header("X-Error-Code") or ""
        if code == "GatedRepo":
            return failed(
                f"{self._repository} is gated: accept its terms on the hub and give a token of that account in "
                f"HF_TOKEN (used: {self._credential})",
                self._uri,
            )
        if code == "RevisionNotFound":
            return failed(f"{self._repository} has no revision {self._revision!r}; check what follows ':'", self._uri)
        if response.status in (401, 404):
            return failed(
                f"the hub knows no repository {self._repository}, or it is private and {self._credential} does not "
                "open it; check the name and HF_TOKEN",
                self._uri,
            )
        return status_error(response, self._uri, self._credential)


def parse_repository(uri: str) -> tuple[str, str]:
    """Return (org/model, revision) of ``hf://org/model[:revision]``; raises DownloadError with the right form."""
    rest = uri.partition("://")[2]
    repository, _, revision = rest.partition(":")
    parts = repository.split("/")
    good = len(parts) == 2 and all(_NAME.match(part) and ".." not in part for part in parts)
    if not good or (revision and (not _REVISION.match(revision) or ".." in revision)):
        raise misconfigured("a hub URI must look like hf://org/model or hf://org/model:revision", uri)
    return repository, revision or "main"


def hub_token(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return (token, name of where it came from); empty when there is none. Raises for a token with blanks in it."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        token = environ.get(name, "").strip()
        if token:
            break
    else:
        name = "HF_TOKEN_PATH"
        path = environ.get(name)
        if not path:
            return "", "no token"
        try:
            token = Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeError):
            raise misconfigured(f"{name} names {path}, which cannot be read") from None
    if not token.isascii() or not token.isprintable() or " " in token:
        raise misconfigured(f"{name} holds characters that no token has")
    return token, name
