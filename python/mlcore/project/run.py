"""The steps in order, and running them: all that changed, or one alone."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from mlcore import __version__
from mlcore.errors import Conflict, UsageError
from mlcore.project import data_steps, model_steps, score_steps
from mlcore.project.cache import Done, Inputs
from mlcore.project.context import Context, StepResult
from mlcore.project.data_steps import Outcome


@dataclass(frozen=True)
class Step:
    """A step: what it depends on, its work, and what may stop the run after it, skipped or not."""

    name: str
    inputs: Callable[[Context], Inputs]
    work: Callable[[Context], Outcome]
    guard: Callable[[dict[str, Any], str], None] | None = None


STEPS: Final = (
    Step("ingest", data_steps.ingest_inputs, data_steps.ingest),
    Step("validate", data_steps.validate_inputs, data_steps.validation),
    Step("train", model_steps.train_inputs, model_steps.train),
    Step("evaluate", model_steps.evaluate_inputs, model_steps.evaluate),
    Step("register", model_steps.register_inputs, model_steps.register, model_steps.stop_if_rejected),
    Step("score", score_steps.score_inputs, score_steps.score),
    Step("watch", score_steps.watch_inputs, score_steps.watch),
)
NAMES: Final = tuple(step.name for step in STEPS)


def run(context: Context) -> list[StepResult]:
    """Run every step that has something to do, in order, and return what each did.

    Raises:
        MlcoreError: a step failed; those before it are done and stay recorded.
    """
    results = []
    with alone(context):
        for step in STEPS:
            if step.name == "train" and context.cache.reason(step.name, _inputs(context, step)):
                _ = context.champion_before  # read before the long work, so that a promotion meanwhile is noticed
            results.append(_perform(context, step, force=False))
    return results


def run_step(context: Context, name: str) -> StepResult:
    """Run one step, changed or not; UsageError when a step it needs has not run."""
    step = next((step for step in STEPS if step.name == name), None)
    if step is None:
        raise UsageError(f"there is no step '{name}'; the steps are: {', '.join(NAMES)}")
    with alone(context):
        return _perform(context, step, force=True)


@contextmanager
def alone(context: Context) -> Iterator[None]:
    """Hold the project's lock: steps read each other's records, so two runs at once would mix theirs.

    Raises:
        Conflict: another run holds it.
    """
    context.project.state.mkdir(parents=True, exist_ok=True)
    with (context.project.state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"another run is at work in {context.root}; wait for it, then run again") from error
        yield


def plan(context: Context) -> Iterator[tuple[str, str]]:
    """Yield each step with why it would run, or "" for one that would be skipped.

    What a step would make is not known before it runs: after the first that would run, the others may.
    """
    uncertain = ""
    for step in STEPS:
        if uncertain:
            yield step.name, uncertain
            continue
        reason = context.cache.reason(step.name, _inputs(context, step))
        yield step.name, reason
        if reason:
            uncertain = f"if '{step.name}' makes something new"


def _inputs(context: Context, step: Step) -> Inputs:
    return {**step.inputs(context), "mlcore": __version__}


def _perform(context: Context, step: Step, *, force: bool) -> StepResult:
    inputs = _inputs(context, step)
    reason = context.cache.reason(step.name, inputs)
    done = context.cache.read(step.name)
    if not reason and not force and done is not None:
        result = StepResult(step.name, 0.0, done.result.get("rows"), done.result, done.outputs, "unchanged", True)
    else:
        result = _work(context, step, inputs, reason or "asked for")
    context.reporter.finished(result)
    if step.guard is not None:
        step.guard(dict(result.facts), context.project.name)
    return result


def _work(context: Context, step: Step, inputs: Inputs, reason: str) -> StepResult:
    context.reporter.started(step.name, reason)
    started = time.perf_counter()
    rows, facts, outputs = step.work(context)
    seconds = time.perf_counter() - started
    listed = tuple(context.relative(path) for path in outputs)
    context.cache.write(step.name, Done(inputs, {**facts, "rows": rows}, listed))
    if context.interrupted():  # some library caught it; the step is whole, the next must not begin
        raise KeyboardInterrupt
    return StepResult(step.name, seconds, rows, facts, listed, reason)
