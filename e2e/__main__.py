"""`python -m e2e --stories main`: bring the cluster up, install haizen, tell the stories, print a table."""

import argparse
import contextlib
import re
import sys
import tempfile
import time
import traceback
from pathlib import Path

from rich.console import Console

from e2e import access
from e2e.context import Context
from e2e.installation import Installation, rolls_with
from e2e.kubectl import Kubectl, wait_for
from e2e.model_store import ModelStore
from e2e.report import Result, print_table, write_json
from e2e.stories import Story, choose

RESULTS = Path("results/e2e.json")


def main() -> int:
    """Return 0 when every story passed."""
    parser = argparse.ArgumentParser(prog="python -m e2e", description=__doc__)
    parser.add_argument("--stories", default="all", help="all, main, or names separated by commas")
    parser.add_argument("--keep", action="store_true", help="leave the stories' namespaces for a look")
    options = parser.parse_args()
    console = Console()
    try:
        stories = choose(options.stories)
    except ValueError as problem:
        console.print(f"[red]{problem}[/]")
        return 2
    cluster = access.connect()
    kubectl = Kubectl(cluster.kubeconfig)
    store = ModelStore(kubectl)
    with console.status("installing haizen with Helm"):
        Installation(kubectl).install("knativeFeatures.enable=true", *rolls_with(cluster.operator_digest))
    with console.status("starting the model store"):
        store.deploy()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="haizen-e2e-") as workspace:
        for number, each in enumerate(stories, 1):
            console.print(f"[bold]{number}/{len(stories)} {each.title}[/]")
            context = Context(kubectl, cluster.gateway, f"e2e-{each.name}", store, Path(workspace))
            results.append(tell(each, context, keep=options.keep))
            verdict = "[green]passed[/]" if results[-1].passed else f"[red]FAILED[/] {results[-1].problem}"
            console.print(f"    {verdict} in {results[-1].seconds:.0f} s", markup=True)
            write_json(results, RESULTS)
    print_table(results, console)
    failed = sum(not result.passed for result in results)
    console.print(f"{len(results) - failed} passed, {failed} failed", highlight=False)
    return 1 if failed else 0


def tell(story: Story, context: Context, *, keep: bool) -> Result:
    """Run one story in a fresh namespace and return its result."""
    result = Result(story.name, story.title, figures=context.figures)
    begin = time.monotonic()
    try:
        fresh_namespace(context)
        story.tell(context)
        result.passed = True
    except Exception as problem:  # a story may fail in any way; the others still run
        frame = traceback.extract_tb(problem.__traceback__)[-1]
        where = re.sub(r".*/(e2e/)", r"\1", frame.filename)
        result.problem = f"{type(problem).__name__}: {problem} ({where}:{frame.lineno})"[:4000]
    finally:
        if not keep:
            with contextlib.suppress(Exception):
                context.kubectl.delete("namespace", context.namespace)
    result.seconds = time.monotonic() - begin
    return result


def fresh_namespace(context: Context) -> None:
    """Make the story's namespace anew, with the ServiceAccount that may read the model store."""
    context.kubectl.delete("namespace", context.namespace)
    name = context.namespace
    wait_for(f"an earlier {name} is gone", lambda: context.kubectl.get("namespace", name) is None, timeout_seconds=400)
    context.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": context.namespace}},
        *context.store.access(context.namespace),
    )


if __name__ == "__main__":
    sys.exit(main())
