"""haizen-runtime: the model server. One engine, many doors."""

__version__ = "0.1.0"
