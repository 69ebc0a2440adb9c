"""The command line: `haizen run`, `render`, `validate`, `samples`, `version`."""

import asyncio
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from haizen_cli.errors import CliError
from haizen_cli.findings import Finding

app = typer.Typer(
    name="haizen",
    help="Serve machine-learning models from KServe's InferenceService YAML: on this machine, without a cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
samples_app = typer.Typer(help="Sample models, trained on the spot.", no_args_is_help=True)
app.add_typer(samples_app, name="samples")

LIBRARIES = ("scikit-learn", "xgboost-cpu", "xgboost", "lightgbm", "onnxruntime", "onnxruntime-gpu", "uvicorn", "zttp")
"""The distributions that `haizen version` names when they are installed."""

Files = Annotated[
    list[str],
    typer.Option(
        "--filename",
        "-f",
        metavar="FILE",
        help="A YAML file, a folder of them, or - for standard input. Give it several times for several files.",
    ),
]


@app.command()
def run(
    files: Files,
    host: Annotated[str, typer.Option(help="Address that the gateway listens on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            "-p",
            min=0,
            max=65535,
            show_default="8080, or the next free one",
            help="The gateway's port; 0 takes any free one.",
        ),
    ] = None,
    watch: Annotated[bool, typer.Option(help="Roll over when a file is edited.")] = True,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Fetch models anew instead of using earlier copies.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every line that the runtimes write.")] = False,
) -> None:
    """Serve the InferenceServices of YAML files on this machine, without a cluster.

    Starts one runtime process for each revision behind one gateway, which splits traffic by canaryTrafficPercent and
    routes by Host (NAME.NAMESPACE.localhost) and by path (/serving/NAMESPACE/NAME). Paths in storageUri are relative to
    the YAML file.
    """
    from haizen_cli.run.command import run as serve

    code = asyncio.run(
        serve(files, host=host, port=port, watch=watch, refresh=refresh, verbose=verbose, out=_out(), log=_log())
    )
    raise typer.Exit(code)


@app.command()
def render(
    files: Files,
    runtimes: Annotated[bool, typer.Option("--runtimes", help="Print the built-in runtimes, too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Leave out why each runtime was chosen.")] = False,
) -> None:
    """Print what the operator would apply for each InferenceService, and (on stderr) which runtime it chose and why.

    The traffic shown is that of a first deployment.
    """
    from haizen_cli.documents import read
    from haizen_cli.render import considered_table, to_yaml
    from haizen_cli.render import render as render_workspace
    from haizen_cli.workspace import builtin_runtimes, gather

    workspace = gather(read(files))
    _show_findings(workspace.findings)
    rendered = render_workspace(workspace)
    log = _log()
    for entry in rendered:
        if entry.considered and not quiet:
            log.print(considered_table(entry))
        elif entry.error is None and not quiet:
            log.print(f"{entry.service.isvc.metadata.name}: {entry.outcome}", highlight=False)
        if entry.error is not None:
            _show_error(entry.error)
        for note in entry.decision.notes if entry.decision is not None else ():
            log.print(f"{entry.service.isvc.metadata.name}: {note}", highlight=False, markup=False)
    objects = [entry.decision.first_deployment() for entry in rendered if entry.decision is not None]
    if runtimes:
        objects += [runtime.to_manifest() for runtime in builtin_runtimes()]
    if objects:
        sys.stdout.write(to_yaml(objects))
    elif not workspace.findings and not rendered:
        raise CliError("the files hold no InferenceService; there is nothing to render")
    if workspace.findings or any(entry.error for entry in rendered):
        raise typer.Exit(1)


@app.command()
def validate(files: Files) -> None:
    """Check YAML files without a cluster, by the API server's rules; exit code 1 when something is wrong."""
    from haizen_cli.documents import read
    from haizen_cli.workspace import gather

    workspace = gather(read(files), with_builtin=False)
    _show_findings(workspace.findings)
    log = _log()
    for document in workspace.ignored:
        log.print(
            f"{document.where()}: {document.title} is not checked: haizen does not read this kind", highlight=False
        )
    if workspace.findings:
        raise typer.Exit(1)
    count = len(workspace.services) + len(workspace.namespace_runtimes) + len(workspace.cluster_runtimes)
    _out().print(f"{count} object{'' if count == 1 else 's'} checked, no problems", highlight=False)


@samples_app.command()
def digits(
    folder: Annotated[Path, typer.Argument(help="Where to write sklearn/model.joblib and onnx/model.onnx.")],
) -> None:
    """Train a classifier of scikit-learn's handwritten digits and write it as joblib and as ONNX."""
    from haizen_cli.samples.digits import HELD_OUT, write

    sample = write(folder)
    out = _out()
    for path in sample.files.values():
        out.print(str(path), soft_wrap=True, highlight=False)
    _log().print(f"{sample.accuracy:.0%} of {HELD_OUT} held-out digits are right", highlight=False)


@app.command("version")
def show_version() -> None:
    """Print the version of haizen, of Python and of the libraries that run models here."""
    out = _out()
    out.print(f"haizen {_installed('haizen')}", highlight=False)
    table = Table.grid(padding=(0, 2))
    table.add_row("python", platform.python_version())
    for name in LIBRARIES:
        if (found := _installed(name)) is not None:
            table.add_row(name, found)
    out.print(table)


def main() -> None:
    """Run the command line; errors of the user are shown without a traceback, with exit code 1."""
    _run(app)


def _run(command: Callable[[], object]) -> None:
    try:
        command()
    except CliError as error:
        _show_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe went away: not worth a traceback
        sys.exit(1)


def _show_error(error: CliError) -> None:
    log = _log()
    where = f"{escape(error.where)}: " if error.where else ""
    log.print(f"[bold red]error:[/] {where}{escape(error.message)}", soft_wrap=True, highlight=False)
    if error.fix:
        log.print(f"  {escape(error.fix)}", soft_wrap=True, highlight=False)


def _show_findings(findings: tuple[Finding, ...]) -> None:
    if not findings:
        return
    log = _log()
    if not log.is_terminal:
        for finding in findings:  # one line each, for grep and for editors
            log.print(f"{finding.where}: {finding.subject}: {finding.described}", soft_wrap=True, markup=False)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("where", "object", "field", "problem"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "where")
    for finding in findings:
        table.add_row(*map(escape, (finding.where, finding.subject, finding.field, finding.message)))
    log.print(table)


def _out() -> Console:
    return Console(file=sys.stdout)


def _log() -> Console:
    return Console(file=sys.stderr)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
