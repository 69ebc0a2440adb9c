"""What can go wrong between the operator and the Kubernetes API.

ApiError
├── NotFound       404: no such object, namespace or kind
├── Conflict       409: somebody else wrote first, or the uid or resourceVersion that we named is gone
├── Rejected       400, 422, and 403 by an admission webhook: the API server or a webhook refuses the object
├── Forbidden      403: RBAC does not let us
│   └── NamespaceTerminating   403: the namespace is going away and takes nothing new
├── Unauthorized   401: the credentials are not accepted
└── Unavailable    429, 5xx, or no answer at all: worth trying again
"""

from typing import Any


class ApiError(Exception):
    """A request that the Kubernetes API did not grant; `message` is the server's own text."""

    def __init__(self, message: str, *, status: int = 0, what: str = "", retry_after_seconds: float | None = None):
        super().__init__(f"{what}: {message}" if what else message)
        self.message = message
        self.status = status
        self.what = what
        self.retry_after_seconds = retry_after_seconds


class NotFound(ApiError):
    """There is no such object, namespace or kind."""


class Conflict(ApiError):
    """Somebody else changed the object in between; read it again and decide anew."""


class Rejected(ApiError):
    """The API server or an admission webhook refuses the object; trying again unchanged does not help."""


class Forbidden(ApiError):
    """The operator's role does not allow the request."""


class NamespaceTerminating(Forbidden):
    """The namespace is being deleted: nothing new can be made in it, and what is there goes by itself."""


class Unauthorized(ApiError):
    """The credentials were not accepted."""


class Unavailable(ApiError):
    """The API server is overloaded, failing or out of reach."""


def error_for(status: int, body: Any, *, what: str, retry_after: str | None = None) -> ApiError:
    """The typed error for an HTTP status and the `Status` object (or text) that came with it."""
    message = (body.get("message") if isinstance(body, dict) else str(body or "")) or f"HTTP {status}"
    details = (body.get("details") or {}) if isinstance(body, dict) else {}
    seconds = _seconds(retry_after) if retry_after else _seconds(details.get("retryAfterSeconds"))
    if status == 403 and any(cause.get("reason") == "NamespaceTerminating" for cause in details.get("causes") or ()):
        return NamespaceTerminating(message, status=status, what=what)
    return _class_for(status, message)(message, status=status, what=what, retry_after_seconds=seconds)


def _class_for(status: int, message: str) -> type[ApiError]:
    if status == 403:
        # A webhook may refuse with 403; its text begins like this, RBAC's does not.
        return Rejected if message.startswith("admission webhook") else Forbidden
    if status == 429 or status >= 500:
        return Unavailable
    return {400: Rejected, 401: Unauthorized, 404: NotFound, 409: Conflict, 422: Rejected}.get(status, ApiError)


def _seconds(value: Any) -> float | None:
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError):
        return None
