"""A runtime with a model for each folder in a folder: `python -c PROGRAM FOLDER [settings]`."""

PROGRAM = """
import os, sys
from pathlib import Path
from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.engine.model import Model
from haizen_runtime.listening import bind
from haizen_runtime.main import configure_logging
from haizen_runtime.serving import serve
from haizen_runtime.settings import Settings

settings, _ = Settings.parse(sys.argv[2:], os.environ)
configure_logging(settings)
def model(folder):
    return Model(folder.name, "1", lambda: load_backend(folder, None, LoadOptions(allow_code=True)))
serve(settings, [model(folder) for folder in sorted(Path(sys.argv[1]).iterdir())], bind(settings.host, 0))
"""
