"""The steps that make a model and decide on it: train, evaluate, register."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlcore import models, scoring, training
from mlcore.bundle import Bundle, collect, short
from mlcore.data.readers import scan
from mlcore.data.times import moment
from mlcore.errors import BundleError, DataError, GateFailed, UsageError
from mlcore.lifecycle import promotion
from mlcore.profile import Profile
from mlcore.project.cache import Inputs, digest
from mlcore.project.context import Context
from mlcore.project.data_steps import Outcome
from mlcore.scoring import Scorer


def label(context: Context) -> training.Label:
    """Return [target] as the training room takes it."""
    return training.Label(context.project.target.column, context.project.target.above)


def files_of(context: Context, since: Any, until: Any) -> list[Path]:
    """Return the validated snapshot's files that may hold rows of a time range; DataError when there is none."""
    files = context.validated().select(since, until)
    if not files:
        raise DataError(f"the snapshot has no rows from {since or 'its start'} until {until or 'its end'}")
    return files


def contents(context: Context, files: list[Path]) -> dict[str, str]:
    """Return the files' content hashes, by path."""
    known = {file.path: file.blake3 for file in context.snapshot().files}
    return {context.relative(path): known[context.relative(path)] for path in files}


def train_inputs(context: Context) -> Inputs:
    """What training depends on: the files of its time range, [train], [features] and [target]."""
    train, tables = context.project.train, context.project.tables
    return {
        "data": contents(context, files_of(context, train.since, train.until)),
        "time": context.project.data.time,
        "[train]": tables.get("train", {}),
        "[[features]]": digest(tables.get("features", [])),
        "[target]": tables["target"],
    }


def train(context: Context) -> Outcome:
    """Train, profile the training rows with the model's own edges, and keep it all as a Bundle."""
    project, snapshot = context.project, context.validated()
    files = files_of(context, project.train.since, project.train.until)
    snapshot.verify(files)
    with context.reporter.progress("boosting", project.train.rounds) as advance:
        trained = training.fit(
            files,
            transforms=project.features,
            label=label(context),
            time=project.data.time,
            since=project.train.since,
            until=project.train.until,
            holdout=project.train.holdout,
            params=project.train.params,
            rounds=project.train.rounds,
            early_stopping=project.train.early_stopping,
            seed=project.train.seed,
            threads=project.threads,
            progress=advance,
        )
    params = {**trained.params, "rounds": trained.best_iteration + 1}
    bundle = Bundle(
        model=models.read(trained.booster),
        transforms=trained.transforms,
        schema=snapshot.schema,
        provenance=collect(snapshot=snapshot.id, params=params, folder=context.root),
        source_model=bytes(trained.booster.save_raw("ubj")),
    )
    bundle = Bundle(**{**_parts(bundle), "profile": _reference(context, bundle, files, trained.cut)})
    folder = project.state / "bundles" / short(bundle.digest)
    try:
        bundle.save(folder)
    except BundleError:  # what stands there under this digest is damaged
        folder.rename(folder.with_name(f"{folder.name}.damaged-{time.time_ns()}"))
        bundle.save(folder)
    facts = {
        "bundle": context.relative(folder),
        "digest": bundle.digest,
        "trees": bundle.model.n_trees,
        "features": bundle.model.n_features,
        "training_rows": trained.training_rows,
        "holdout_rows": trained.holdout_rows,
        "holdout_from": trained.cut,
        "params": {key: str(value) for key, value in params.items()},
    }
    return trained.labelled, facts, sorted(folder.iterdir())


def _parts(bundle: Bundle) -> dict[str, Any]:
    return {name: getattr(bundle, name) for name in bundle.__dataclass_fields__}


def _reference(context: Context, bundle: Bundle, files: list[Path], cut: str | None) -> Profile:
    """The training range's rows, over edges that hold the model's own, and what the model says of those held out.

    Of rows that it learned from it says more than of any others, which would look like drift ever after.
    """
    scorer = scoring.compile(bundle, threads=context.project.threads)
    train = context.project.train
    table = _rows(files, [*scorer.columns], context.project.data.time, train.since, train.until)
    profile = Profile.fit(table.select(list(scorer.columns)), edges=scorer.edges(table.schema))
    held_out = table if cut is None else _from(table, context.project.data.time, cut)
    return profile.with_column("prediction", scorer.predict_value(held_out))


def _from(table: pa.Table, time: str, start: str) -> pa.Table:
    """The rows from a moment on."""
    return table.filter(pc.greater_equal(table[time], pa.scalar(start).cast(table.schema.field(time).type)))


def _rows(files: list[Path], columns: list[str], time: str, since: Any, until: Any) -> pa.Table:
    wanted = list(dict.fromkeys([*columns, time]))
    table = pa.Table.from_batches(list(scan(files, wanted)))
    for compare, bound in ((pc.greater_equal, since), (pc.less, until)):
        if bound is not None:
            table = table.filter(compare(table[time], moment(bound, table.schema.field(time).type, time)))
    return table


def evaluate_inputs(context: Context) -> Inputs:
    """What evaluation depends on: the Bundle and the held-out rows."""
    train = context.project.train
    return {
        "bundle": context.fact("train", "digest"),
        "data": contents(context, files_of(context, train.since, train.until)),
        "time": context.project.data.time,
        "holdout": context.fact("train", "holdout_from"),
    }


def evaluate(context: Context) -> Outcome:
    """Score the held-out end of the training range with the Bundle's own Scorer and measure it."""
    project = context.project
    start = context.fact("train", "holdout_from")
    if start is None:
        raise DataError("[train] holdout is 0: there are no rows to evaluate on; give it a share, 0.2 for example")
    scorer = scoring.compile(context.root / context.fact("train", "bundle"), threads=project.threads)
    files = files_of(context, project.train.since, project.train.until)
    context.validated().verify(files)
    table = _rows(files, [*scorer.columns, project.target.column], project.data.time, project.train.since,
                  project.train.until)  # fmt: skip
    table = _from(table, project.data.time, start)
    labels = np.concatenate([label(context).of(batch) for batch in table.to_batches()])
    measured = measure(scorer, labels, scorer.predict_value(table))
    values = measured.values()
    calibration = [[b.score, b.rate, b.rows] for b in getattr(measured, "calibration", ())]
    return int(values["rows"]), {"metrics": values, "from": start, "calibration": calibration}, []


def measure(scorer: Scorer, labels: Any, scores: Any) -> training.Metrics | training.RegressionMetrics:
    """Return the measures that fit the model: of probabilities, or of numbers."""
    if scorer.model.link == "sigmoid":
        return training.metrics(labels, scores)
    return training.regression_metrics(labels, scores)


def register_inputs(context: Context) -> Inputs:
    """What registration depends on: the Bundle, its metrics and [gates]."""
    measured, bundle = context.cache.read("evaluate"), context.fact("train", "digest")
    if measured is not None and measured.inputs.get("bundle") != bundle:
        raise UsageError("the metrics are another Bundle's than the one trained last; run: mlcore evaluate")
    return {
        "bundle": bundle,
        "metrics": context.fact("evaluate", "metrics"),
        "[gates]": context.project.tables.get("gates", {}),
        "[project]": {"name": context.project.name},
    }


def register(context: Context) -> Outcome:
    """Record the run, register the Bundle, ask the gates, and promote what passes them all."""
    project, metrics = context.project, context.fact("evaluate", "metrics")
    folder = context.root / context.fact("train", "bundle")
    before = context.champion_before
    run = context.registry.log_run(
        project.name,
        params={**context.fact("train", "params"), "snapshot": context.fact("ingest", "snapshot")},
        metrics=metrics,
        tags={"mlcore.bundle": context.fact("train", "digest")},
    )
    decided = promotion.submit(
        context.registry,
        project.name,
        folder,
        digest=context.fact("train", "digest"),
        metrics=metrics,
        gates=project.gates,
        expected=before,
        run_id=run,
    )
    facts = {
        "version": decided.version.version,
        "digest": decided.version.digest,
        "status": "approved" if decided.passed else "rejected",
        "champion": context.registry.champion(project.name),
        "before": before,
        "run": run,
        "gates": [{**result.to_json(), "text": str(result)} for result in decided.gates],
    }
    return None, facts, []


def stop_if_rejected(facts: dict[str, Any], name: str) -> None:
    """Raise GateFailed when the candidate did not pass; the champion stays."""
    failed = [gate for gate in facts["gates"] if not gate["passed"]]
    if facts["status"] == "rejected":
        listed = "; ".join(gate["text"] for gate in failed)
        stays = f"version {facts['champion']} stays champion" if facts["champion"] else "there is no champion"
        raise GateFailed(f"{name} version {facts['version']} was rejected: {listed}; {stays}")
