"""Vertex AI's custom prediction routines: a class `Predictor` with load, preprocess, predict and postprocess.

Code written for them imports Google's library. Where that is not installed, the two modules that such code needs are
here; where it is, its own are used.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from haizen_runtime.engine.json_bodies import JSON_BODY
from haizen_runtime.workers.loading import load_error, vertex_bases
from haizen_runtime.workers.results import as_body, as_outputs, body_of
from haizen_runtime.workers.served import ServedModel, listed, settled, wanted

Array = np.ndarray[Any, Any]

LIBRARY: Final = "google.cloud.aiplatform"
PREDICTOR: Final = f"{LIBRARY}.prediction.predictor"
UTILITIES: Final = f"{LIBRARY}.utils.prediction_utils"
ARTIFACTS: Final = frozenset({"artifacts_uri", "gcs_artifacts_uri"})
"""What load's argument is called in Google's library, now and before."""


class Predictor:
    """Google's interface, for code that imports it where the library is not installed."""

    def load(self, artifacts_uri: str, **kwargs: Any) -> None:
        """Read the model from the directory `artifacts_uri`."""
        raise NotImplementedError

    def preprocess(self, prediction_input: Any) -> Any:
        """Make what predict takes of the request's body."""
        return prediction_input

    def predict(self, instances: Any) -> Any:
        """Predict."""
        raise NotImplementedError

    def postprocess(self, prediction_results: Any) -> Any:
        """Make the answer's body of what predict gave."""
        return prediction_results


def download_model_artifacts(artifacts_uri: str) -> None:
    """Google's function that brings the files into the working directory: they are here, so work where they are."""
    os.chdir(artifacts_uri)


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of Google's library that prediction routines import, after all other finders found none."""

    contents: Final[dict[str, dict[str, Any]]] = {
        PREDICTOR: {"Predictor": Predictor},
        UTILITIES: {"download_model_artifacts": download_model_artifacts},
    }

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A module of them, or a package around one."""
        if not any(f"{name}.".startswith(f"{fullname}.") for name in self.contents):
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=fullname not in self.contents)

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module."""
        vars(module).update(self.contents.get(module.__name__, {}))


def prepare(path: Path) -> None:
    """Let code that speaks of Google's library be imported without it."""
    if LIBRARY.encode() in path.read_bytes() and not any(isinstance(each, StandIns) for each in sys.meta_path):
        sys.meta_path.append(StandIns())


def is_predictor(model: Any) -> bool:
    """Whether an object is a Predictor: by its class, or by what its methods are called and take."""
    if isinstance(model, tuple(vertex_bases())):
        return True
    load = getattr(model, "load", None)
    return (
        callable(getattr(model, "postprocess", None))
        and callable(load)
        and next(iter(inspect.signature(load).parameters), None) in ARTIFACTS
    )


class PredictorModel(ServedModel):
    """A Predictor: it gets the body of a request and gives that of the answer, as in Vertex AI's own server."""

    def __init__(self, model: Any, path: Path, json_depth: int) -> None:
        super().__init__(model, path, json_depth)
        self.max_batch_rows = 1
        self.takes_json = True

    async def load(self) -> None:
        """The artifacts are the directory that was downloaded, or given."""
        utilities = sys.modules.get(UTILITIES)
        if utilities is not None:  # Google's own would copy a local directory into the server's
            vars(utilities)["download_model_artifacts"] = download_model_artifacts
        try:
            await settled(self._model.load(str(self._path.parent)))
        except (Exception, SystemExit) as error:
            raise load_error(error, self._path) from error

    async def infer(self, inputs: Mapping[str, Array], outputs: Sequence[str] | None) -> dict[str, Array]:
        """A body goes in as it is, tensors as rows of `instances`; of those, `predictions` become the output."""
        if JSON_BODY in inputs:
            return as_body(await self.call(body_of(inputs, self._json_depth)))
        if len(inputs) == 1:
            instances = listed(next(iter(inputs.values())))
        else:
            columns = [listed(array) for array in inputs.values()]
            instances = [dict(zip(inputs, row, strict=True)) for row in zip(*columns, strict=False)]
        return wanted(as_outputs(await self.call({"instances": instances})), outputs)
