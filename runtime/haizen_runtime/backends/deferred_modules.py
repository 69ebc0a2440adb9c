"""Modules that a library imports and seldom uses: executed not by their import, but once something is taken from them.

scikit-learn's import is most of its models' cold start, and a third of that is scipy.stats, which a prediction hardly
ever needs (docs/design/0010-deferred-modules.md).
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType
from typing import Any, Final

SCIKIT_LEARN: Final[Mapping[str, frozenset[str]]] = {
    "numpy.f2py": frozenset(),
    "numpy.testing": frozenset(),
    "scipy.stats": frozenset({"gmean", "rankdata"}),
}
"""What `import sklearn` brings along, and the functions that scikit-learn takes from it by name.

(scipy takes over all of numpy's names, those of its Fortran compiler and of its test tools too.)
"""

WITHHELD: Final[Mapping[str, str]] = {"pandas": "sklearn.utils.fixes"}
"""A module, and the one other that does not get it at its import, where nobody has imported it yet.

scikit-learn imports pandas where it is installed, to have its name: tables are recognised by what their owner imported.
"""

_executing = threading.RLock()


def defer(modules: Mapping[str, frozenset[str]]) -> None:
    """Defer the execution of these modules, where they are not imported yet. Again is as once.

    modules: for each full name the plain functions that may be taken from it by name without executing it: what
    `from module import function` gives then is a function that executes the module when it is called.
    """
    _finder.modules.update({name: functions for name, functions in modules.items() if name not in sys.modules})
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _DeferredModule(ModuleType):
    """A module that was found and not executed. Whoever has it has the executed one later: it is the same object."""

    def __getattr__(self, name: str) -> Any:
        # Names like __path__ and __wrapped__ are what the import system and introspection ask every module for.
        if not name.startswith("__"):
            with _executing:
                loader = self.__dict__["__loader__"]
                if isinstance(loader, _Later) and name in loader.functions:
                    return functools.partial(_call, self, name)
                if _execute(self):
                    return getattr(self, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _Later(Loader):
    """Gives a module at once; its execution is left to `_execute`."""

    def __init__(self, loader: Loader, functions: frozenset[str]) -> None:
        self.functions = functions
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet."""


class _Imported(Loader):
    """Gives a module that the execution of the one above it has imported meanwhile."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Finder(MetaPathFinder):
    """Finds deferred modules where they would be found anyway, and executes them before a module below is imported."""

    def __init__(self) -> None:
        self.modules: dict[str, frozenset[str]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in WITHHELD and _importer() == WITHHELD[fullname]:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        if fullname in self.modules:
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Later(spec.loader, self.modules[fullname])
            return spec
        above = sys.modules.get(fullname.rpartition(".")[0])
        if isinstance(above, _DeferredModule) and _execute(above) and fullname in sys.modules:
            return ModuleSpec(fullname, _Imported(sys.modules[fullname]))
        return None


def _importer() -> str:
    """The name of the module whose code is importing now, below the import system's own frames."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("importlib."):
        frame = frame.f_back
    return "" if frame is None else str(frame.f_globals.get("__name__", ""))


def _execute(module: ModuleType) -> bool:
    """Execute a deferred module, once; another thread waits. What its code raises goes to who asked, and to the next.

    Returns False when this thread is executing it: its code sees a module like any other, with what is defined so far.
    """
    with _executing:
        later = module.__dict__["__loader__"]
        if isinstance(later, _Later):
            assert module.__spec__ is not None
            module.__loader__ = module.__spec__.loader = later.loader
            try:
                later.loader.exec_module(module)
            except BaseException:
                module.__loader__ = module.__spec__.loader = later
                raise
            module.__class__ = ModuleType
        return type(module) is ModuleType


def _call(module: ModuleType, name: str, /, *arguments: Any, **named: Any) -> Any:
    _execute(module)
    return getattr(module, name)(*arguments, **named)


_finder = _Finder()
