"""s3://, gs:// and Azure Blob: one object, or all objects below a prefix."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from haizen_runtime.storage.addresses import resolve
from haizen_runtime.storage.credentials import Access, azure_accesses, gcs_accesses, s3_accesses
from haizen_runtime.storage.errors import DownloadError, SourceChanged, TransientError, failed, misconfigured
from haizen_runtime.storage.limits import Limits
from haizen_runtime.storage.object_errors import Cause, cause_of, short
from haizen_runtime.storage.sources import Body, Checksum, RemoteFile
from haizen_runtime.storage.uris import ModelUri

_CHUNK = 1 << 20
_MD5_ETAG = re.compile(r'^"([0-9a-f]{32})"$')


class ObjectSource:
    """A bucket seen through one of several ways to reach it; the first that is let in is kept."""

    def __init__(
        self,
        uri: str,
        bucket: str,
        prefix: str,
        accesses: list[Access],
        make_store: Callable[[Access, Any, Any], Any],
        limits: Limits,
        environ: Mapping[str, str],
        *,
        etag_is_md5: bool = False,
    ) -> None:
        self._uri, self._bucket, self._prefix = uri, bucket, prefix
        self._accesses, self._make_store, self._limits, self._environ = accesses, make_store, limits, environ
        self._etag_is_md5 = etag_is_md5
        self._store: Any = None
        self._access = accesses[0]

    def files(self) -> list[RemoteFile]:
        """Return the object of exactly this name, else all objects in the folder of this name (KServe's rule)."""
        refused: DownloadError | None = None
        for access in self._accesses:
            self._check_endpoint(access)
            self._access = access
            self._store = self._open_store(access)
            try:
                files = self._find()
            except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
                refused = refused or self._denied(error)
                continue
            except exceptions.BaseError as error:
                if refused is not None:
                    raise refused from None  # the node has no identity: the first refusal is what the user can mend
                self._fail(error)
            if not files:
                raise failed(
                    f"there is no object {self._prefix!r} and no object below "
                    f"{self._prefix.rstrip('/') + '/'!r} in bucket {self._bucket!r} ({access.name}); check the path",
                    self._uri,
                )
            return files
        assert refused is not None
        raise refused

    def open(self, file: RemoteFile, offset: int, length: int | None) -> contextlib.AbstractContextManager[Body]:
        """See ``Source.open``."""
        return self._body(file, offset, length)

    def close(self) -> None:
        """Nothing to break: readers see a stop between chunks, and the read timeout bounds a silent server."""

    def _find(self) -> list[RemoteFile]:
        if self._prefix and not self._prefix.endswith("/"):
            with contextlib.suppress(exceptions.NotFoundError, FileNotFoundError, exceptions.PermissionDeniedError):
                return [self._describe(obstore.head(self._store, self._prefix), self._prefix.rpartition("/")[2])]
        folder = self._prefix.strip("/")
        files = []
        for page in obstore.list(self._store, folder or None, chunk_size=1000):
            for meta in page:
                name = meta["path"].removeprefix(f"{folder}/") if folder else meta["path"]
                # A key that ends with "/" is a folder's placeholder; the client shows it without the slash.
                if meta["size"] or not _is_placeholder(meta["path"], folder):
                    files.append(self._describe(meta, name))
        folders = {file.path.rpartition("/")[0] for file in files}
        return [file for file in files if file.size or not any(_below(file.path, name) for name in folders)]

    def _describe(self, meta: Any, name: str) -> RemoteFile:
        etag = meta.get("e_tag")
        match = _MD5_ETAG.match(etag or "") if self._etag_is_md5 else None
        checksum = Checksum("md5", match.group(1)) if match else None
        return RemoteFile(name, meta["path"], meta["size"], etag, etag is not None, checksum)

    @contextlib.contextmanager
    def _body(self, file: RemoteFile, offset: int, length: int | None) -> Iterator[Iterator[memoryview]]:
        options: Any = {}
        if file.version is not None:
            options["if_match"] = file.version
        if length is not None:
            options["range"] = (offset, offset + length)
        try:
            result = obstore.get(self._store, file.key, options=options)
        except (exceptions.PreconditionError, exceptions.NotFoundError, FileNotFoundError):
            raise SourceChanged from None
        except exceptions.BaseError as error:
            self._fail(error)
        found = result.meta.get("e_tag")
        if file.version is not None and found is not None and found != file.version:
            raise SourceChanged  # a server that ignores If-Match
        yield _chunks(result)

    def doubts(self, file: RemoteFile) -> bool:
        """S3's ETag is no MD5 for objects encrypted with KMS or a customer's key: ask for the object's headers."""
        if file.checksum is None or file.checksum.algorithm != "md5":
            return False
        if self._access.config.get("skip_signature"):
            return False  # nobody reads such objects anonymously
        # Rarely needed, and slow to import.
        from haizen_runtime.storage.http_client import HttpClient
        from haizen_runtime.storage.source_http import status_error

        try:
            url = obstore.sign(self._store, "HEAD", file.key, timedelta(minutes=5))
        except exceptions.BaseError as error:
            self._fail(error)
        client = HttpClient(
            self._environ, self._limits, verify=not self._access.client.get("allow_invalid_certificates")
        )
        with client.request("HEAD", url) as response:
            if response.status != 200:
                problem = status_error(response, self._uri, self._access.name)
                if isinstance(problem, DownloadError):
                    problem = failed(
                        f"{file.path} has not the MD5 that its ETag seems to be, and whether the ETag is one cannot be "
                        f"asked: {problem.message}",
                        self._uri,
                    )
                raise problem
            kind = response.header("x-amz-server-side-encryption") or ""
            own_key = response.header("x-amz-server-side-encryption-customer-algorithm")
            return kind.startswith("aws:kms") or own_key is not None

    def _open_store(self, access: Access) -> Any:
        # object_store bounds a whole request by default; only silence is a fault here.
        client = {
            "connect_timeout": timedelta(seconds=self._limits.connect_timeout),
            "read_timeout": timedelta(seconds=self._limits.read_timeout),
            "timeout": timedelta(hours=24),
            **access.client,
        }
        if access.endpoint is not None and access.endpoint.startswith("http://"):
            client["allow_http"] = True
        retry = {"max_retries": 2, "retry_timeout": timedelta(seconds=30)}
        try:
            return self._make_store(access, client, retry)
        except (exceptions.BaseError, ValueError, TypeError) as error:
            raise misconfigured(
                f"the settings for bucket {self._bucket!r} are not usable ({access.name}): {_first_line(error)}",
                self._uri,
            ) from None

    def _check_endpoint(self, access: Access) -> None:
        if access.endpoint is None:
            return
        parts = urlsplit(access.endpoint)
        assert parts.hostname is not None
        port = parts.port or (443 if parts.scheme == "https" else 80)
        resolve(parts.hostname, port, self._limits.addresses, self._uri)

    def _denied(self, error: Exception) -> DownloadError:
        text, what = str(error), f"access is denied with {self._access.name}"
        if "InvalidAccessKeyId" in text:
            what = f"the key in {self._access.name} does not exist there"
        elif "SignatureDoesNotMatch" in text:
            what = "the secret in AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID"
        return failed(f"{self._where()}: {what}; check that it may list and read {self._prefix!r}", self._uri)

    def _fail(self, error: Exception) -> NoReturn:
        """Raise what ``error`` of the client means."""
        cause = cause_of(str(error))
        if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
            raise self._denied(error) from None
        if isinstance(error, exceptions.NotFoundError | FileNotFoundError) or cause is Cause.NO_BUCKET:
            raise failed(f"{self._where()}: there is no such bucket or path {self._prefix!r}", self._uri) from None
        if isinstance(error, exceptions.InvalidPathError):
            raise failed(f"{self._where()}: the path {self._prefix!r} is not valid", self._uri) from None
        if cause is not Cause.OTHER:
            raise failed(f"{self._where()} {cause.value}", self._uri) from None
        raise TransientError(f"{self._where()}: {short(str(error))}") from None

    def _where(self) -> str:
        endpoint = self._access.endpoint
        return f"bucket {self._bucket!r}" + (f" at {urlsplit(endpoint).hostname}" if endpoint else "")


def s3_source(uri: ModelUri, environ: Mapping[str, str], limits: Limits) -> ObjectSource:
    """Return the source for ``s3://bucket/prefix``."""
    bucket, prefix = _bucket_and_prefix(uri)

    def make(access: Access, client: Any, retry: Any) -> Any:
        config: Any = dict(access.config)
        if config["virtual_hosted_style_request"] and access.endpoint:
            # object_store takes a virtual-hosted endpoint as it is: the bucket must be part of it.
            parts = urlsplit(access.endpoint)
            config["endpoint"] = f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path}"
        return S3Store(bucket, config=config, client_options=client, retry_config=retry)

    return ObjectSource(
        uri.without_fragment, bucket, prefix, s3_accesses(environ), make, limits, environ,
        # A directory bucket (S3 Express) has ETags that look like an MD5 and are none.
        etag_is_md5=not bucket.endswith("--x-s3"),
    )  # fmt: skip


def gcs_source(uri: ModelUri, environ: Mapping[str, str], limits: Limits) -> ObjectSource:
    """Return the source for ``gs://bucket/prefix``."""
    bucket, prefix = _bucket_and_prefix(uri)

    def make(access: Access, client: Any, retry: Any) -> Any:
        config: Any = access.config
        return GCSStore(bucket, config=config, client_options=client, retry_config=retry)

    return ObjectSource(uri.without_fragment, bucket, prefix, gcs_accesses(environ), make, limits, environ)


def azure_source(uri: ModelUri, environ: Mapping[str, str], limits: Limits) -> ObjectSource:
    """Return the source for ``https://<account>.blob.core.windows.net/<container>/<prefix>``."""
    parts = urlsplit(uri.without_fragment)
    account = (parts.hostname or "").partition(".")[0]
    container, _, prefix = unquote(parts.path).lstrip("/").partition("/")
    if not container:
        raise misconfigured("an Azure Blob URL must name a container", uri.text)

    def make(access: Access, client: Any, retry: Any) -> Any:
        config: Any = access.config
        return AzureStore(container, config=config, client_options=client, retry_config=retry)

    accesses = azure_accesses(account, environ, parts.query)
    return ObjectSource(uri.without_fragment, container, prefix, accesses, make, limits, environ)


def _bucket_and_prefix(uri: ModelUri) -> tuple[str, str]:
    rest = uri.without_fragment.partition("://")[2]
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise misconfigured(f"the URI names no bucket; it should look like {uri.scheme}://bucket/path", uri.text)
    return bucket, prefix.lstrip("/")


def _chunks(result: Any) -> Iterator[memoryview]:
    try:
        for chunk in result.stream(min_chunk_size=_CHUNK):
            yield memoryview(chunk)
    except (exceptions.BaseError, OSError) as error:
        raise TransientError(short(str(error))) from None


def _is_placeholder(path: str, folder: str) -> bool:
    return path.strip("/") == folder


def _below(path: str, folder: str) -> bool:
    return folder == path or folder.startswith(f"{path}/")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
