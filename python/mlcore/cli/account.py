"""The account of a run: each step as it ends, bars while it lasts, and at the end where everything is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from mlcore.cli.output import console, line, table
from mlcore.project.cache import FIRST
from mlcore.project.context import StepResult

_METRICS: Final = ("auc", "log_loss", "calibration_error", "rmse", "mae", "r2")


class Account:
    """A Reporter that prints; bars are drawn on a terminal only."""

    def started(self, step: str, reason: str) -> None:
        """Say why a step runs again."""
        if reason != FIRST:
            line(f"  {step:<9} {reason}", "dim")

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show a bar until the work ends."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("            {task.description}"), BarColumn(32), TextColumn("{task.completed:,.0f}"),
                   TimeRemainingColumn(compact=True))  # fmt: skip
        with Progress(*columns, console=console(), transient=True, disable=not console().is_terminal) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)

    def finished(self, result: StepResult) -> None:
        """Say what a step did and how fast."""
        if result.skipped:
            line(f"– {result.name:<9} unchanged", "dim")
            return
        rate = f"{result.rows / result.seconds:>12,.0f} rows/s" if result.rows and result.seconds > 0 else " " * 19
        from rich.text import Text

        text = Text.assemble(
            ("✓ ", "green"), (f"{result.name:<9}", "bold"), f"{result.seconds:7.2f} s {rate}   ", _gist(result)
        )
        console().print(text)


def _gist(result: StepResult) -> str:
    facts = result.facts
    match result.name:
        case "ingest":
            return f"{result.rows:,} rows in {facts['files']} files, snapshot {facts['snapshot']}"
        case "validate":
            return f"{facts['columns']} columns hold"
        case "train":
            return f"{facts['trees']} trees, {facts['features']} features, Bundle {facts['digest'][:12]}"
        case "evaluate":
            return shown_metrics(facts["metrics"]) + f" on rows from {str(facts['from'])[:10]}"
        case "register":
            passed = sum(gate["passed"] for gate in facts["gates"])
            return f"version {facts['version']} {facts['status']}, {passed} of {len(facts['gates'])} gates passed"
        case "score":
            return f"{result.rows:,} rows by {facts['model']} on {facts['backend']}"
        case _:
            return str(facts["verdict"])


def shown_metrics(metrics: Mapping[str, float]) -> str:
    """Return the metrics people ask for first, in a line."""
    return ", ".join(f"{name.replace('_', ' ')} {metrics[name]:.4f}" for name in _METRICS if name in metrics)


def closing(results: Sequence[StepResult], root: Path) -> None:
    """Print the months and where the files are, as seen from here."""
    facts: dict[str, Mapping[str, Any]] = {result.name: result.facts for result in results}
    if "watch" in facts:
        months(facts["watch"]["windows"])
    if "register" in facts:
        register = facts["register"]
        line(f"champion  version {register['champion']}, Bundle {root / facts['train']['bundle']}")
    if "score" in facts:
        line(f"scores    {root / facts['score']['output']}/")
    if "watch" in facts:
        line(f"report    {root / facts['watch']['report']}")


def months(windows: Sequence[Mapping[str, Any]]) -> None:
    """Print a row a window: rows, drifted columns, metrics where labels are known."""
    names = [name for name in _METRICS if any(name in window for window in windows)]
    rows = [
        [w["name"], f"{w['rows']:,}", f"{w['drifted']} of {w['columns']}"]
        + [f"{w[name]:.4f}" if name in w else "–" for name in names]
        for w in windows
    ]
    columns = ["window", "rows", "drifted", *(name.replace("_", " ") for name in names)]
    line("")
    table(columns, rows, right=columns[1:])
    line("")
