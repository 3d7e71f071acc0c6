"""Samples: for each op, named makers of the arguments it is called with. Every call makes the same arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mlcore.testing.samples import columns, elementwise, explain, forest, score, tally

SAMPLES: Final[Mapping[str, Mapping[str, Callable[[], tuple[Any, ...]]]]] = {
    "bin": columns.BIN,
    "encode": columns.ENCODE,
    "tally": tally.TALLY,
    "forest": forest.FOREST,
    "leaves": forest.LEAVES,
    "explain": explain.EXPLAIN,
    "score": score.SCORE,
    "affine": elementwise.AFFINE,
    "clip": elementwise.CLIP,
    "fill": elementwise.FILL,
    "lookup": elementwise.LOOKUP,
    "sigmoid": elementwise.SIGMOID,
}
