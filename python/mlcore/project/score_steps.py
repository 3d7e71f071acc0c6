"""The steps that use the champion: score and watch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlcore import scoring
from mlcore.bundle.reference import load_version
from mlcore.data.readers import scan
from mlcore.drift import DriftReport, compare
from mlcore.errors import UsageError
from mlcore.lifecycle.promotion import serving
from mlcore.profile import Profile
from mlcore.project.cache import Inputs
from mlcore.project.context import Context
from mlcore.project.data_steps import Outcome
from mlcore.project.model_steps import contents, files_of, label, measure
from mlcore.records.registry import ModelVersion
from mlcore.scoring import Scorer
from mlcore.scoring.stream import Selection, between


def champion(context: Context) -> ModelVersion:
    """Return the version that serves; UsageError when none was promoted yet."""
    name = context.project.name
    if context.registry.champion(name) is None:
        raise UsageError(f"'{name}' has no champion yet; run: mlcore run")
    return serving(context.registry, name)


def champion_digest(context: Context) -> str:
    """Return the champion's digest; without opening MLflow when it is the version registered last."""
    serving = context.registry.log.champion(context.project.name)
    done = context.cache.read("register")
    if serving is not None and done is not None and done.result["version"] == serving:
        return str(done.result["digest"])
    return champion(context).digest


def score_inputs(context: Context) -> Inputs:
    """What scoring depends on: the champion, the files of its time range, and [score]."""
    score = context.project.score
    return {
        "champion": champion_digest(context)[:12],
        "data": contents(context, files_of(context, score.since, score.until)),
        "time": context.project.data.time,
        "[score]": context.project.tables.get("score", {}),
    }


def score(context: Context) -> Outcome:
    """Score the range's files, month by month, and count what passes."""
    project, version = context.project, champion(context)
    scorer = scoring.compile(load_version(version), threads=project.threads)
    files = files_of(context, project.score.since, project.score.until)
    context.validated().verify(files)
    total = sum(file.rows for file in context.snapshot().files if context.root / file.path in files)
    with context.reporter.progress("scoring", total) as advance:
        summary = scoring.score_files(
            scorer,
            files,
            context.root / project.score.output,
            keep=project.score.keep,
            time=project.data.time,
            since=project.score.since,
            until=project.score.until,
            progress=advance,
        )
    facts = {
        "model": f"{version.name}:{version.version}",
        "files": len(summary.files),
        "backend": f"{scorer.backend.name} ({scorer.backend.isa})",
        "output": project.score.output,
    }
    return summary.rows, facts, [*summary.files, summary.manifest]


def watch_inputs(context: Context) -> Inputs:
    """What the report depends on: the scored files, the champion, and [watch]."""
    manifest = context.root / context.project.score.output / "manifest.json"
    if not manifest.exists():
        raise UsageError("there are no scores to watch; run: mlcore score")
    return {
        "scores": context.fact("score", "model"),
        "data": score_inputs(context),
        "[watch]": context.project.tables.get("watch", {}),
        "[target]": context.project.tables["target"],
    }


def watch(context: Context) -> Outcome:
    """Compare each scored month with the training profile, and measure it where labels are known."""
    report, version = drift_report(context)
    folder = context.root / context.project.watch.output
    page, data = folder / "drift.html", folder / "drift.json"
    title = f"{context.project.name}: {report.windows[0].name} to {report.windows[-1].name}"
    report.to_html(page, title=title, model=f"{version.name}:{version.version} ({version.digest[:12]})")
    report.save_json(data)
    facts = {
        "verdict": report.verdict,
        "headline": report.headline(),
        "windows": [
            {"name": w.name, "rows": w.rows, "drifted": len(w.drifted), "columns": len(w.columns),
             **report.performance.get(w.name, {})}
            for w in report.windows
        ],
        "report": context.relative(page),
    }  # fmt: skip
    return sum(window.rows for window in report.windows), facts, [page, data]


def drift_report(context: Context) -> tuple[DriftReport, ModelVersion]:
    """Return the report on the scored files, and the version that scored them."""
    project, version = context.project, champion(context)
    scorer = scoring.compile(load_version(version), threads=project.threads)
    if scorer.profile is None:
        raise UsageError(f"{version.name}:{version.version} carries no reference profile; train it again")
    folder = context.root / project.score.output
    scored_by = json.loads((folder / "manifest.json").read_text())["job"]["model"]
    if scored_by != version.digest:
        raise UsageError(
            f"the scores are not {version.name}:{version.version}'s, which is champion now; run: mlcore score"
        )
    files = files_of(context, project.score.since, project.score.until)
    profiles = {path.stem: Profile.load(folder / "profiles" / f"{path.stem}.arrow") for path in files}
    performance = {path.stem: values for path in files if (values := _performance(context, scorer, path, folder))}
    options = {name: value for name, value in asdict(project.watch).items() if name != "output"}
    return compare(scorer.profile, profiles, performance=performance, **options), version


def _performance(context: Context, scorer: Scorer, path: Path, folder: Path) -> dict[str, Any]:
    """Metrics of one scored file; {} where no row is labelled or all labels are equal."""
    project = context.project
    selection = Selection((), project.data.time, project.score.since, project.score.until, "score")
    table = pa.Table.from_batches(list(scan([path], [project.target.column, project.data.time])))
    labels = [label(context).of(batch) for batch in between(table, selection).to_batches()]
    known = np.concatenate([*labels, np.zeros(0)])
    scores = pq.read_table(folder / f"{path.stem}.parquet", columns=["score"])["score"].to_numpy()
    if len(known) != len(scores) or np.isnan(known).all():
        return {}
    values = measure(scorer, known, scores).values()
    shown = ("auc", "log_loss", "calibration_error", "base_rate", "rmse", "mae", "r2")
    return {name: values[name] for name in shown if name in values}
