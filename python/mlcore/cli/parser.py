"""The commands and their options; each names the function that does it, imported only when it is called."""

from __future__ import annotations

import argparse
from typing import Any, Final

STEPS: Final = {
    "ingest": "read raw files into typed Parquet and a snapshot",
    "validate": "check the snapshot against its schema",
    "train": "train a candidate and keep it as a Bundle",
    "evaluate": "measure the candidate on held-out rows",
    "register": "register the candidate; promote it if it passes the gates",
    "watch": "compare scored months with training: a drift report",
}


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=100)


def build() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        "mlcore",
        description="From data to a registered, scored and watched model.",
        formatter_class=_Formatter,
        epilog="exit codes: 0 ok, 1 a gate or check failed, 2 usage or input, 3 conflict\nstart with: mlcore demo",
    )
    from mlcore import __version__

    parser.add_argument("--version", action="version", version=f"mlcore {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    _demo(commands)
    _run(commands)
    for name, text in STEPS.items():
        step = _command(commands, name, text, "steps:step")
        if name == "watch":
            step.add_argument("--fail-on-drift", action="store_true", help="exit with 1 when a column drifted")
    _score(commands)
    _data(commands)
    _models(commands)
    _audit(commands)
    _command(commands, "doctor", "say what runs here, what is missing and how to add it", "doctor:doctor")
    return parser


def _command(commands: Any, name: str, text: str, call: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", formatter_class=_Formatter
    )
    parser.set_defaults(call=call, parser=parser)
    common = parser.add_argument_group("common")
    common.add_argument("--project", default=".", metavar="DIR", help="the project's folder (default: this one)")
    common.add_argument("--json", action="store_true", help="one JSON document on standard output")
    common.add_argument("--quiet", action="store_true", help="say nothing but errors")
    common.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _group(commands: Any, name: str, text: str) -> Any:
    parser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", formatter_class=_Formatter
    )
    return parser.add_subparsers(dest="action", metavar="ACTION", required=True)


def _demo(commands: Any) -> None:
    demo = _command(commands, "demo", "write a project with real flights and run it", "steps:demo")
    demo.add_argument("--dir", default="flights", help="where to write it (default: flights)")
    demo.add_argument("--rows", type=int, help="only about so many of the 336,776 flights")


def _run(commands: Any) -> None:
    run = _command(commands, "run", "run the project's steps, those that have something to do", "steps:run")
    run.add_argument("--dry-run", action="store_true", help="only say what would run, and why")


def _score(commands: Any) -> None:
    score = _command(commands, "score", "score the project's rows, or any files with any model", "steps:score")
    score.add_argument("model", nargs="?", help="a Bundle's folder, name@champion, name:7, or a model file")
    score.add_argument("inputs", nargs="*", help="Parquet files, folders or patterns")
    score.add_argument("--out", metavar="DIR", help="where scored files go")
    score.add_argument("--keep", default="", metavar="A,B", help="columns to copy beside the score")
    score.add_argument("--backend", default="auto", choices=("auto", "cpu", "numba", "cuda"))
    score.add_argument("--threads", type=int, help="at most so many (default: what the machine allows)")
    score.add_argument("--no-resume", action="store_true", help="score again what an earlier call has done")


def _data(commands: Any) -> None:
    data = _group(commands, "data", "list, show, compare and verify snapshots")
    _command(data, "list", "list the snapshots", "data:list_all")
    show = _command(data, "show", "show a snapshot's files and columns", "data:show")
    show.add_argument("snapshot", nargs="?", default="latest", help="an id or its beginning (default: latest)")
    diff = _command(data, "diff", "say what changed from one snapshot to another", "data:diff")
    diff.add_argument("old")
    diff.add_argument("new", nargs="?", default="latest")
    verify = _command(data, "verify", "check every file of a snapshot against its hash", "data:verify")
    verify.add_argument("snapshot", nargs="?", default="latest")


def _models(commands: Any) -> None:
    models = _group(commands, "models", "list, show, promote and roll back model versions")
    listed = _command(models, "list", "list the versions of the project's model", "models:list_all")
    listed.add_argument("name", nargs="?", help="another model (default: the project's)")
    show = _command(models, "show", "show a version: its metrics, data, parameters", "models:show")
    show.add_argument("ref", help="name@champion, name:7 or a digest's first digits")
    promote = _command(models, "promote", "make a version the champion", "models:promote")
    promote.add_argument("name")
    promote.add_argument("version", help="a version number or a digest's first digits")
    promote.add_argument("--reason", required=True, help="why, for the decision log")
    rollback = _command(models, "rollback", "go back to the champion before", "models:rollback")
    rollback.add_argument("name")
    rollback.add_argument("--reason", required=True, help="why, for the decision log")


def _audit(commands: Any) -> None:
    audit = _group(commands, "audit", "verify and list the decision log")
    verify = _command(audit, "verify", "check the log's chain of hashes", "audit:verify")
    verify.add_argument("--head", help="the head kept elsewhere, as 'audit verify' printed it: finds a shortened log")
    _command(audit, "list", "list every decision, oldest first", "audit:list_all")
