"""One file a user story. A story is a function of a Context that raises when something is not right."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from e2e.context import Context


@dataclass(frozen=True, slots=True)
class Story:
    """A story's short name (for STORIES=...), what it shows, and whether continuous integration runs it."""

    name: str
    title: str
    main: bool
    order: int
    tell: Callable[[Context], None]


STORIES: dict[str, Story] = {}


def story(
    name: str, title: str, *, main: bool = False, order: int = 100
) -> Callable[[Callable[[Context], None]], Callable[[Context], None]]:
    """Register a story; lower `order` runs earlier."""

    def register(tell: Callable[[Context], None]) -> Callable[[Context], None]:
        STORIES[name] = Story(name, title, main, order, tell)
        return tell

    return register


def choose(wanted: str) -> list[Story]:
    """Return the stories of `all`, `main` or a comma-separated list, in order.

    Raises ValueError that names the known ones.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    in_order = sorted(STORIES.values(), key=lambda each: (each.order, each.name))
    if wanted == "all":
        return in_order
    if wanted == "main":
        return [each for each in in_order if each.main]
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    unknown = [name for name in names if name not in STORIES]
    if unknown:
        raise ValueError(
            f"no story called {', '.join(unknown)}; known: main, all, {', '.join(each.name for each in in_order)}"
        )
    return [each for each in in_order if each.name in names]
