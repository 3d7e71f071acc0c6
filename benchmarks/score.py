"""Scoring in memory, one thread: 24 models, each beside the library that trained it and every peer that takes it."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, ROOT, WORK, rounds, write
from peer import TAKES, Peer, Unsupported
from points import Point, chosen
from threadpoolctl import threadpool_limits

import mlcore
from data import Array
from mlcore.errors import UnsupportedModel

sys.path.append(str(ROOT / "benchmarks" / "peers"))
from turn import CALLS, FEW, blocks, turn

Result = dict[str, Any]
Turns = dict[str, Callable[[], float]]


def main(
    rows: int | None = None, repeats: int = 3, results: Path = RESULTS, points: list[str] | None = None
) -> list[Result]:
    """Measure each point with all its sides by turns."""
    found: list[Result] = []
    every: list[Result] = []
    for point in chosen(points):
        print(point.name, file=sys.stderr, flush=True)
        row, sides = measure(point, rows, repeats)
        found.append(row)
        every += sides
    notes = [
        "one thread on every side; sides take turns in one run, peers in processes and environments of their own; medians",
        "mlcore's answers are the library's bit for bit before anything is timed: margins, or a forest's probabilities",
        "difference: the largest, of probabilities, between a peer and the library; the best peer is the quickest, whatever its difference",
        "the library is asked in the quickest of its ways; what holds a batch (Pool, DMatrix, float64 copy) is made before the clock starts, for fewer than 1,000 rows inside",
    ]
    write("score", "Scoring in memory beside libraries and peers, one thread", found, notes, results, {"peers": every})
    return found


def measure(point: Point, limit: int | None, repeats: int) -> tuple[Result, list[Result]]:
    """Return the row of a point and those of its peers."""
    X, y = point.make(limit)
    path = point.model(X, y)
    X = X[: point.batch] if point.batch >= FEW else X[: CALLS * point.batch]
    model = point.library.load(path)
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1))
        turns, wanted = library_side(point, model, X)
        facts = mlcore_side(point, model, X, wanted, turns)
        peers, refusals = peers_of(point, path, X, stack)
        turns |= {name: peer.turn for name, peer in peers.items()}
        seconds = rounds(turns, repeats)
    each = {side: statistics.median(times) / len(wanted) * 1e6 for side, times in seconds.items()}
    expected = probability(wanted)
    sides = [
        {"point": point.name, "peer": peer.name, "µs/row": each[name], "× mlcore": _ratio(each, name, "mlcore"),
         "difference": float(np.abs(peer.probability - expected).max())}
        for name, peer in peers.items()
    ]  # fmt: skip
    best = min(peers, key=lambda name: each[name], default=None)
    row = {
        "point": point.name,
        "library µs/row": each["library"],
        "mlcore µs/row": each.get("mlcore", facts.get("refused")),
        "× library": _ratio(each, "library", "mlcore"),
        "best peer": peers[best].name if best else None,
        "peer µs/row": each[best] if best else None,
        "× best peer": _ratio(each, best, "mlcore"),
        "engine": facts.get("engine"),
        "largest difference of a peer": max((side["difference"] for side in sides), default=None),
        "mlcore min–max": _extremes(seconds.get("mlcore"), len(wanted)),
    }
    refused = [{"point": point.name, "peer": name, "not supported": reason} for name, reason in refusals.items()]
    return row, [*sides, *refused]


def library_side(point: Point, model: Any, X: Array) -> tuple[Turns, Array]:
    """Return the library's turn, with the rows held in its quickest way, and its answers."""
    if point.batch < FEW:
        call, given = point.library.few(model), blocks(X, point.batch)
        return {"library": partial(turn, call, given)}, np.concatenate([call(block) for block in given])
    call = point.library.call(model)
    ways = {name: partial(turn, call, [held]) for name, held in point.library.held(X).items()}
    tried = rounds(ways, 1) if len(ways) > 1 else {name: [0.0] for name in ways}
    return {"library": ways[min(tried, key=lambda name: tried[name])]}, call(X)


def mlcore_side(point: Point, model: Any, X: Array, wanted: Array, turns: Turns) -> Result:
    """Add our turn once its answers are the library's, bit for bit; return the engines, or why the model is refused."""
    try:
        scorer = mlcore.compile(model, threads=1)
    except UnsupportedModel as error:
        return {"refused": str(error)}
    call = getattr(scorer, point.library.answer)
    given = blocks(X, point.batch) if point.batch < FEW else [np.asfortranarray(X)]
    if np.concatenate([call(block) for block in given]).tobytes() != wanted.tobytes():
        raise SystemExit(f"{point.name}: mlcore and the library disagree")
    turns["mlcore"] = partial(turn, call, given)
    engines = dict.fromkeys(engine for plan in scorer.describe()["plans"] for engine in plan["engines"])
    return {"engine": ", ".join(engines)}


def peers_of(point: Point, model: Path, X: Array, stack: ExitStack) -> tuple[dict[str, Peer], dict[str, str]]:
    """Start every peer, and say why one does not take part."""
    rows = WORK / "points" / "rows.npy"
    np.save(rows, X)
    peers, refusals = {}, {}
    for name in TAKES:
        try:
            peers[name] = stack.enter_context(Peer(name, point.by, model, rows, point.batch))
        except Unsupported as error:
            refusals[name] = str(error)
    return peers, refusals


def probability(answers: Array) -> Array:
    """Return the probability of the second class: a forest's own, or the logistic of a margin."""
    return answers[:, 1] if answers.ndim > 1 else 1 / (1 + np.exp(-answers.astype(np.float64)))


def _ratio(each: dict[str, float], above: str | None, below: str) -> float | None:
    return each[above] / each[below] if above in each and below in each else None


def _extremes(seconds: list[float] | None, rows: int) -> str | None:
    return f"{min(seconds) / rows * 1e6:.4g}–{max(seconds) / rows * 1e6:.4g}" if seconds else None


if __name__ == "__main__":
    main(points=sys.argv[1:] or None)
