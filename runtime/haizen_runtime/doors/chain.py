"""What the server calls: the doors, inside of what the settings put around them.

It is chosen once, so that what is off costs nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from haizen_runtime.doors.http.body import Receive
from haizen_runtime.doors.http.responses import Send

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import HttpApp
    from haizen_runtime.observing.tracing import Tracing
    from haizen_runtime.settings import Settings

Asgi = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]


def surrounded(app: HttpApp, settings: Settings, tracing: Tracing | None) -> Asgi:
    """The log outside, so that it sees who is not let in; traces inside, so that who is not let in makes none.

    Raises InvalidConfiguration when the API keys cannot be read.
    """
    asgi: Asgi = app
    if tracing is not None:
        from haizen_runtime.observing.traced_app import TracedApp

        asgi = TracedApp(asgi, app, tracing)
    if settings.api_keys_file:
        from haizen_runtime.doors.access.guard import ApiKeyGuard

        asgi = ApiKeyGuard(asgi, app, settings.api_keys_file)
    if settings.access_log != "off":
        from haizen_runtime.observing.access_log import AccessLog

        asgi = AccessLog(asgi, settings.access_log == "errors", settings.max_request_id_bytes)
    return asgi
