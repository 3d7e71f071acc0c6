"""The search for an exact edge: right for any guess, on every number line, at both of its ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlcore.scoring import line

ROWS = 64


def guesses(true: np.ndarray[Any, Any], lowest: int, highest: int, rng: np.random.Generator) -> dict[str, Any]:
    anywhere = rng.integers(-(2**63), 2**63 - 1, ROWS, dtype=np.int64)
    near = np.clip(true, lowest + 3, highest - 3) + rng.integers(-3, 4, ROWS)
    return {
        "right": true,
        "near": near,
        "anywhere": anywhere,
        "lowest": np.full(ROWS, lowest),
        "highest": np.full(ROWS, highest),
    }


@pytest.mark.parametrize("guess", ["right", "near", "anywhere", "lowest", "highest"])
@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "i8"])
def test_the_first_value_is_found_from_any_guess(kind: line.NumericKind, guess: str) -> None:
    rng = np.random.default_rng(7)
    lowest, highest = line.ends(kind)
    for _ in range(20):
        true = rng.integers(lowest, highest, ROWS, endpoint=True, dtype=np.int64)
        true[:4] = [lowest, highest, lowest + 1, highest - 1]
        never = rng.random(ROWS) < 0.1

        def met(values: line.Array, true: line.Array = true, never: line.Array = never) -> line.Array:
            return (line.keys(values) >= true) & ~never

        found, reachable = line.first_true(met, guesses(true, lowest, highest, rng)[guess], kind)
        assert np.array_equal(reachable, ~never)
        assert np.array_equal(found[reachable], true[reachable])


@pytest.mark.parametrize("off", [0, 1, -1])
@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "i8"])
def test_guesses_that_are_all_right_but_one(kind: line.NumericKind, off: int) -> None:
    lowest, highest = line.ends(kind)
    true = np.random.default_rng(3).integers(lowest + 2, highest - 1, ROWS, dtype=np.int64)
    asked = []

    def met(values: line.Array) -> line.Array:
        asked.append(len(values))
        return line.keys(values) >= true

    guess = true.copy()
    guess[17] += off
    found, reachable = line.first_true(met, guess, kind)
    assert np.array_equal(found, true) and reachable.all()
    assert (len(asked) == 2) == (off == 0)


def test_a_close_guess_takes_few_questions() -> None:
    asked = []
    true = line.keys(np.random.default_rng(1).normal(size=ROWS))

    def met(values: line.Array) -> line.Array:
        asked.append(len(values))
        return line.keys(values) >= true

    line.first_true(met, true - 2, "f8")
    assert len(asked) < 10
