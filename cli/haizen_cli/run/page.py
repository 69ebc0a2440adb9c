"""What a browser sees at the gateway's root: the services, who gets which share of their traffic, and their URLs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from haizen_cli.run.routing import PATH_PREFIX, ServiceKey, Share
from haizen_cli.run.urls import base_urls

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True)
class Shown:
    """One service as the page shows it."""

    name: str
    shares: Sequence[Share]
    """Of revisions with traffic; percent 1..100."""
    waiting: Sequence[str]
    """Revisions with traffic that are not ready."""
    urls: Sequence[tuple[str, str]]
    links: Sequence[tuple[str, str]]


def wants_page(method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request is a browser's for the root; KServe's clients ask there whether the server is alive."""
    if method != "GET" or path != "/":
        return False
    accept = next((value for name, value in headers if name == b"accept"), b"")
    return b"text/html" in accept


def shown(key: ServiceKey, shares: Iterable[Share], ready: Iterable[str], *, gateway: str, only_one: bool) -> Shown:
    """One service's part of the page; `gateway` is the gateway's own URL, `ready` the revisions with a process."""
    with_traffic = [share for share in shares if share.percent > 0]
    able = set(ready)
    base = f"{PATH_PREFIX}/{key.namespace}/{key.name}"
    links = [("what the model takes", f"{base}/v2/models/{key.name}"), ("metrics", f"{base}/metrics")]
    return Shown(
        name=str(key),
        shares=with_traffic,
        waiting=[share.revision for share in with_traffic if share.revision not in able],
        urls=base_urls(key, gateway, only_one=only_one),
        links=links if able else [],
    )


def render(services: Sequence[Shown]) -> str:
    """The page as HTML; every text in it is escaped."""
    return _template().render(services=services)


@lru_cache(maxsize=1)
def _template() -> "Template":
    from jinja2 import Environment  # only for whoever opens the page: not at the start of `haizen run`

    source = (files(__package__) / "page.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(source)
