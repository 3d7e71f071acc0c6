"""Steps and Transforms: the casts, the meaning of missing and unknown, and their JSON form."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mlcore.errors import ModelFormatError, UsageError
from mlcore.preprocessing.features import (
    Affine,
    Clip,
    Feature,
    Fill,
    Indicator,
    Lookup,
    Transforms,
    evaluate,
    evaluate_categories,
)


def test_without_steps_a_double_is_narrowed_directly() -> None:
    x = np.array([0.1, 1 + 2**-24, -0.0, np.inf, np.nan, 1e300])
    with np.errstate(over="ignore"):
        expected = x.astype(np.float32)
    assert evaluate((), x).tobytes() == expected.tobytes()


def test_a_large_integer_goes_through_float64_once_it_has_steps() -> None:
    x = np.array([2**60 + 2**36 + 1])  # float32(x) rounds up, float32(float64(x)) is a tie to even: down
    assert evaluate((), x)[0] == np.float32(2**60 + 2**37)
    assert evaluate((Affine(0.0, 1.0),), x)[0] == np.float32(2**60)


def test_number_steps_run_in_order_and_in_float64() -> None:
    x = np.array([1.0, np.nan, -7.0, 1e9])
    steps = (Fill(3.0), Affine(0.1, 0.7), Clip(-2.0, 5.0))
    expected = [min(max((v - 0.1) / 0.7, -2.0), 5.0) for v in (1.0, 3.0, -7.0, 1e9)]
    assert evaluate(steps, x).tolist() == np.array(expected, np.float32).tolist()


def test_clip_passes_missing() -> None:
    assert math.isnan(evaluate((Clip(0.0, 1.0),), np.array([np.nan]))[0])


def test_missing_indicator_of_numbers() -> None:
    assert evaluate((Indicator(None),), np.array([np.nan, 2.0])).tolist() == [1.0, 0.0]


def test_lookup_gives_unknown_and_missing_their_numbers() -> None:
    steps = (Lookup(("a", "b"), (1.0, 2.0), 9.0, math.nan), Fill(5.0), Affine(1.0, 2.0))
    values, unknown, missing = evaluate_categories(steps, ["b", "zzz", "a"])
    assert values.dtype == np.float32
    assert values.tolist() == [0.5, 4.0, 0.0]
    assert (unknown, missing) == (4.0, 2.0)


def test_indicator_is_zero_for_missing_and_unknown() -> None:
    values, unknown, missing = evaluate_categories((Indicator("a"),), ["a", "b"])
    assert (values.tolist(), unknown, missing) == ([1.0, 0.0], 0.0, 0.0)


def test_indicator_of_missing_is_one_where_missing() -> None:
    values, unknown, missing = evaluate_categories((Indicator(None),), ["a"])
    assert (values.tolist(), unknown, missing) == ([0.0], 0.0, 1.0)


@pytest.mark.parametrize("steps", [(Lookup((), (), 0.0, 0.0),), (Indicator("a"),)])
def test_a_category_step_refuses_numbers(steps: tuple[Lookup | Indicator]) -> None:
    with pytest.raises(UsageError, match="reads strings"):
        evaluate(steps, np.zeros(2))


def test_strings_without_a_category_step_are_refused() -> None:
    with pytest.raises(UsageError, match="one-hot, ordinal or target"):
        evaluate_categories((Fill(0.0),), ["a"])


@pytest.mark.parametrize("scale", [0.0, math.nan, math.inf])
def test_an_affine_step_needs_a_usable_scale(scale: float) -> None:
    with pytest.raises(UsageError, match="finite"):
        Affine(0.0, scale)


def test_a_clip_step_needs_low_below_high() -> None:
    with pytest.raises(UsageError, match="low <= high"):
        Clip(2.0, 1.0)


def test_a_lookup_names_each_category_once() -> None:
    with pytest.raises(UsageError, match="twice"):
        Lookup(("a", "a"), (1.0, 2.0), 0.0, 0.0)


def test_a_lookup_has_a_number_for_each_category() -> None:
    with pytest.raises(UsageError, match="2 categories have 1"):
        Lookup(("a", "b"), (1.0,), 0.0, 0.0)


def test_a_category_step_comes_first() -> None:
    with pytest.raises(UsageError, match="'f'.*first"):
        Feature("f", "c", (Fill(0.0), Indicator("a")))


def test_feature_names_are_unique() -> None:
    with pytest.raises(UsageError, match="'f' stands twice"):
        Transforms((Feature("f", "a", ()), Feature("f", "b", ())))


def test_columns_stand_in_the_order_of_first_use() -> None:
    features = (Feature("x", "b", ()), Feature("y", "a", ()), Feature("z", "b", (Fill(0.0),)))
    assert Transforms(features).columns == ("b", "a")


def everything() -> Transforms:
    odd = (math.nan, math.inf, -math.inf, 5e-324, -0.0, 0.1, 1e300, 1 / 3)
    names = tuple(f"ä\u2028{i}" for i in range(len(odd)))
    return Transforms(
        (
            Feature("plain", "a", ()),
            Feature("number", "a", (Fill(0.1), Affine(1 / 3, 1e-300), Clip(-math.inf, 5e-324))),
            Feature("table", "b", (Lookup(names, odd, math.nan, -0.0), Fill(2.0))),
            Feature("is", "b", (Indicator("b"),)),
            Feature("gone", "b", (Indicator(None),)),
        )
    )


def test_json_gives_every_number_back_to_the_last_bit() -> None:
    before = everything()
    text = json.dumps(before.to_json(), allow_nan=False)
    after = Transforms.from_json(json.loads(text))
    assert repr(after) == repr(before)


def test_json_of_another_format_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="format 99"):
        Transforms.from_json({**everything().to_json(), "format": 99})


@pytest.mark.parametrize(
    "step",
    [
        {"step": "polynomial"},
        {"step": "fill"},
        {"step": "fill", "value": "x"},
        {"step": "affine", "center": 0.0, "scale": 0.0},
        {"step": "lookup", "categories": ["a"], "table": [], "unknown": 0.0, "missing": 0.0},
        7,
    ],
)
def test_malformed_json_is_refused(step: object) -> None:
    with pytest.raises(ModelFormatError, match="transforms"):
        Transforms.from_json({"format": 1, "features": [{"name": "f", "column": "c", "steps": [step]}]})
