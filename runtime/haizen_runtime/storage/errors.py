"""What can go wrong while a model is fetched, in words that a user can act on."""

from haizen_runtime.protocol import errors as protocol
from haizen_runtime.storage.uris import redact


class DownloadError(Exception):
    """A model could not be fetched.

    Attributes:
        reason: one of InvalidConfiguration, ModelDownloadFailed, ChecksumMismatch and Cancelled.
        message: what was wrong, where, and what would be right; free of secrets.
        uri: the source without user, password and query.
    """

    def __init__(self, reason: str, message: str, uri: str = "") -> None:
        self.reason = reason
        self.message = message
        self.uri = redact(uri) if uri else ""
        super().__init__(f"{self.uri}: {message}" if self.uri and self.uri not in message else message)


class ChecksumMismatch(DownloadError):
    """The bytes that arrived are not the bytes that were promised."""

    def __init__(self, message: str, uri: str = "") -> None:
        super().__init__("ChecksumMismatch", message, uri)


class Cancelled(DownloadError):
    """The caller asked to stop; what had arrived is kept, so that a later fetch resumes."""

    def __init__(self, uri: str = "") -> None:
        super().__init__("Cancelled", "the download was cancelled", uri)


class TransientError(Exception):
    """One attempt failed in a way that another attempt may heal (cut, timeout, 5xx).

    ``retry_after`` is the server's own wish in seconds, if it had one.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SourceChanged(Exception):
    """The object is no longer the version that the transfer began with; its parts must not be mixed."""


def start_error(error: DownloadError) -> protocol.StartError:
    """Return what ``error`` means for a process that cannot start without its model; reason and text stay."""
    kinds: tuple[type[protocol.StartError], ...] = (
        protocol.InvalidConfiguration, protocol.ModelDownloadFailed, protocol.ChecksumMismatch,
    )  # fmt: skip
    kind = next((kind for kind in kinds if kind.reason == error.reason), protocol.ModelDownloadFailed)
    return kind(str(error))


def failed(message: str, uri: str = "") -> DownloadError:
    """Return the usual error: the source was understood, but not fetched."""
    return DownloadError("ModelDownloadFailed", message, uri)


def misconfigured(message: str, uri: str = "") -> DownloadError:
    """Return the error for a URI, a setting or a credential that cannot be right."""
    return DownloadError("InvalidConfiguration", message, uri)
