"""Commands that run steps: demo, run, score, and each step alone."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mlcore.cli import interrupt, output
from mlcore.cli.account import Account, closing, months
from mlcore.errors import ConfigError, UsageError
from mlcore.project import config
from mlcore.project import run as running
from mlcore.project.context import Context, Reporter, Silent, StepResult


def context(options: Namespace, root: str | None = None) -> Context:
    """Return the project's context, with a reporter that suits the options."""
    reporter: Reporter = Silent() if options.json or options.quiet else Account()
    return Context(config.load(Path(root or options.project)), reporter, interrupt.seen)


def run(options: Namespace) -> int:
    """Run the project's steps."""
    found = context(options)
    if options.dry_run:
        return _dry_run(options, found)
    _finish(options, running.run(found), found.root)
    return 0


def _dry_run(options: Namespace, found: Context) -> int:
    planned = [
        {"step": name, "runs": bool(reason), "reason": reason or "unchanged"} for name, reason in running.plan(found)
    ]
    if options.json:
        output.as_json(planned)
    else:
        output.table(
            ["step", "would", "because"],
            [[p["step"], "run" if p["runs"] else "be skipped", p["reason"]] for p in planned],
        )
    return 0


def _finish(options: Namespace, results: list[StepResult], root: Path) -> None:
    if options.json:
        output.as_json({"steps": [result_json(result) for result in results]})
    elif not options.quiet:
        closing(results, root)


def result_json(result: StepResult) -> dict[str, Any]:
    """Return a step's result as programs read it."""
    return {
        "step": result.name,
        "skipped": result.skipped,
        "reason": result.reason,
        "seconds": round(result.seconds, 4),
        "rows": result.rows,
        "outputs": list(result.outputs),
        "facts": dict(result.facts),
    }


def step(options: Namespace) -> int:
    """Run one step of the project, changed or not."""
    result = running.run_step(context(options), options.command)
    if options.json:
        output.as_json(result_json(result))
    elif options.command == "watch" and not options.quiet:
        months(result.facts["windows"])
        output.line(f"report    {result.facts['report']}")
    return int(bool(getattr(options, "fail_on_drift", False) and result.facts["verdict"] == "drift"))


def score(options: Namespace) -> int:
    """Score the project's rows, or the files given with the model given."""
    if options.model is None:
        given = [word for word, value in (("--out", options.out), ("--backend", options.backend != "auto"),
                                          ("--no-resume", options.no_resume), ("--keep", options.keep)) if value]  # fmt: skip
        if given:
            raise UsageError(f"{', '.join(given)}: only for files of your own, with a model; the project's scoring is "
                             "said in mlcore.toml, [score]")  # fmt: skip
        options.command = "score"
        return step(options)
    if not options.inputs or not options.out:
        raise UsageError("to score files, give a model, the files and --out: mlcore score MODEL in/*.parquet --out DIR")
    import mlcore

    reporter: Reporter = Silent() if options.json or options.quiet else Account()
    with reporter.progress("scoring", None) as advance:
        summary = mlcore.score(
            _model(options),
            options.inputs,
            options.out,
            backend=options.backend,
            threads=options.threads,
            resume=not options.no_resume,
            keep=[name for name in options.keep.split(",") if name],
            progress=advance,
        )
    if options.json:
        output.as_json(
            {
                "rows": summary.rows,
                "files": [str(path) for path in summary.files],
                "skipped": summary.skipped,
                "seconds": round(summary.seconds, 4),
                "manifest": str(summary.manifest),
            }
        )
    elif not options.quiet:
        rate = f", {summary.rows / summary.seconds:,.0f} rows/s" if summary.skipped < len(summary.files) else ""
        output.line(
            f"{summary.rows:,} rows in {len(summary.files)} files, {summary.skipped} already done{rate}: {options.out}"
        )
    return 0


def _model(options: Namespace) -> Any:
    """A path as it is; a name looked up in the project's records."""
    if Path(options.model).exists():
        return Path(options.model)
    from mlcore.bundle import load
    from mlcore.records.registry import Registry

    if "@" not in options.model and ":" not in options.model and "." in options.model:
        raise UsageError(f"{options.model} does not exist")
    return load(options.model, registry=Registry.open(Path(options.project)))


def demo(options: Namespace) -> int:
    """Write the flights project and run it."""
    from mlcore.project.demo import write_project

    folder = Path(options.dir)
    if options.rows is not None and options.rows < 2000:
        raise UsageError("--rows must be at least 2000: fewer flights do not fill the year")
    if folder.exists() and any(folder.iterdir()) and not (folder / config.FILE).exists():
        raise ConfigError(f"{folder} holds something else; name another folder with --dir")
    found = not (folder / config.FILE).exists()
    write_project(folder, rows=options.rows)
    if found and not (options.json or options.quiet):
        output.line(f"wrote {folder}/{config.FILE} and {folder}/raw/flights.csv (flights from New York, 2013)", "dim")
    _finish(options, running.run(context(options, root=options.dir)), folder)
    if not (options.json or options.quiet):
        _next(folder)
    return 0


def _next(folder: Path) -> None:
    output.line("\nnext", "bold")
    for command, why in (
        (f"cd {folder} && mlcore run", "skips what has not changed"),
        ("edit mlcore.toml: max_depth = 5, then mlcore run", "trains a challenger, says why"),
        ("mlcore models list", "versions, metrics, champion"),
        ("mlcore audit verify", "every decision, in a chain of hashes"),
        (f"open {folder}/report/drift.html", "what moved from month to month"),
    ):
        output.line(f"  {command:<50} {why}")
