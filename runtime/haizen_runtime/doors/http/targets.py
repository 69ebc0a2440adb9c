"""Which model a request is for whose path names none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from haizen_runtime.protocol.errors import InvalidInput

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import Call
    from haizen_runtime.engine.dataplane import DataPlane
    from haizen_runtime.engine.model import Model

TARGET: Final = b"x-amzn-sagemaker-target-model"
"""SageMaker's header for endpoints with several models: the name of one's archive."""
ARCHIVE: Final = ".tar.gz"


def target_model(plane: DataPlane, call: Call) -> Model:
    """The model in the path, else the one in SageMaker's header, else the only one.

    Raises ModelNotFound, VersionNotFound, or InvalidInput when there are several and none is named.
    """
    if call.match.model:
        return plane.model(call.match.model, call.match.version)
    header = call.headers.get(TARGET)
    if header is not None:
        return plane.model(header.decode("latin-1").strip("/").removesuffix(ARCHIVE))
    names = plane.registry.names
    if len(names) != 1:
        raise InvalidInput(
            f"There are several models, and the path names none; say which in the header {TARGET.decode()}: "
            f"{', '.join(sorted(names))[:400]}."
        )
    return plane.model(names[0])
