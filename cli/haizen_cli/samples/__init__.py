"""Sample models that the command line trains on the spot, so that nothing has to be downloaded."""

from pathlib import Path

SAMPLE_ANNOTATION = "haizen.dev/sample"
"""On an InferenceService: its model is this sample, and `haizen run` makes it when its folder is missing.

The folder's name says the format: ``sklearn`` or ``onnx``. On a cluster the annotation has no effect.
"""

NAMES = ("digits",)
"""The samples there are."""


def is_missing(folder: Path) -> bool:
    """Whether a sample has to be made: its folder is not there, or is empty."""
    return not folder.is_dir() or not any(folder.iterdir())
