"""Gates: what mlcore.toml may say, and when a candidate passes."""

from __future__ import annotations

import math
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.errors import ConfigError
from mlcore.lifecycle.gates import Gate, evaluate, parse

KNOWN = ("auc", "log_loss", "calibration_error")
NUMBERS = st.floats(allow_nan=False)


def parsed(text: str) -> tuple[Gate, ...]:
    return parse(tomllib.loads(f"[gates]\n{text}")["gates"], known=KNOWN)


def test_gates_are_read_in_order() -> None:
    assert parsed("log_loss = {max = 0.6}\nauc = {min = 0.65, max = 1}") == (
        Gate("log_loss", None, 0.6),
        Gate("auc", 0.65, 1.0),
    )
    assert parse({}, known=KNOWN) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "acu = {min = 0.6}",
            r"table \[gates\]: unknown metric 'acu'; measured are auc, calibration_error, log_loss",
        ),
        ("auc = {mim = 0.6}", r"\[gates\] auc: unknown key 'mim'; it takes min and max"),
        ("auc = 0.6", r"\[gates\] auc: give limits, such as \{min = 0.65\}"),
        ("auc = {}", r"\[gates\] auc: give limits"),
        ("auc = {min = '0.6'}", r"\[gates\] auc: min must be a number, not '0.6'"),
        ("auc = {max = true}", r"\[gates\] auc: max must be a number, not True"),
        ("auc = {min = nan}", r"\[gates\] auc: min must be a number, not nan"),
        ("auc = {min = inf}", r"\[gates\] auc: min must be a number, not inf"),
        ("auc = {min = 0.7, max = 0.6}", r"\[gates\] auc: min 0.7 is above max 0.6"),
    ],
)
def test_what_is_not_understood_is_refused_by_key(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parsed(text)


@settings(max_examples=50, deadline=None)
@given(NUMBERS, NUMBERS | st.none(), NUMBERS | st.none())
def test_a_gate_passes_exactly_within_its_limits(value: float, low: float | None, high: float | None) -> None:
    (result,) = evaluate({"auc": value}, [Gate("auc", low, high)])
    assert result.passed == ((low is None or low <= value) and (high is None or value <= high))


@pytest.mark.parametrize("metrics", [{}, {"auc": math.nan}, {"log_loss": 0.9}])
def test_a_metric_that_is_missing_or_nan_fails(metrics: dict[str, float]) -> None:
    for gate in (Gate("auc", 0.1), Gate("auc", None, 0.9), Gate("auc", -math.inf, math.inf)):
        assert not evaluate(metrics, [gate])[0].passed


@pytest.mark.parametrize(
    ("metrics", "gate", "text"),
    [
        ({"auc": 0.61}, Gate("auc", 0.65), "auc is 0.61, and must be at least 0.65"),
        ({"auc": 0.7}, Gate("auc", 0.65, 0.9), "auc is 0.7, as it must be at least 0.65 and at most 0.9"),
        ({}, Gate("auc", 0.65), "auc was not measured, and must be at least 0.65"),
    ],
)
def test_a_result_is_a_sentence(metrics: dict[str, float], gate: Gate, text: str) -> None:
    assert str(evaluate(metrics, [gate])[0]) == text


@pytest.mark.parametrize(("value", "kept"), [(0.5, 0.5), (math.nan, "nan"), (math.inf, "inf"), (None, None)])
def test_a_result_is_json_whatever_was_measured(value: float | None, kept: object) -> None:
    metrics = {} if value is None else {"auc": value}
    assert evaluate(metrics, [Gate("auc", 0.6)])[0].to_json()["value"] == kept
