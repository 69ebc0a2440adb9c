"""haizen-runtime: the model server. One engine, many doors."""

from haizen_runtime.model import Model as Model
from haizen_runtime.protocol.errors import InvalidInput as InvalidInput
from haizen_runtime.protocol.errors import RequestError as RequestError

__version__ = "0.1.0"
