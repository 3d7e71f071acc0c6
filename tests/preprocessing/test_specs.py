"""[[features]] tables: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

import math
import tomllib
from typing import Any

import pytest

from mlcore.errors import ConfigError
from mlcore.preprocessing.specs import (
    FeatureSpec,
    Impute,
    Limit,
    MinMax,
    OneHot,
    Ordinal,
    Scale,
    Target,
    parse_features,
)


def parse(text: str) -> tuple[FeatureSpec, ...]:
    return parse_features(tomllib.loads(text)["features"])


def test_every_step_is_read() -> None:
    found = parse(
        """
        [[features]]
        columns = ["a", "b"]
        [[features]]
        columns = ["c"]
        steps = [{step = "impute", strategy = "constant", value = 3}, {step = "clip", low = 0}, "scale", "min-max"]
        [[features]]
        columns = ["d"]
        steps = [{step = "impute", strategy = "most_frequent"}, "one-hot"]
        [[features]]
        columns = ["e"]
        steps = ["ordinal"]
        [[features]]
        columns = ["f"]
        steps = [{step = "target", smooth = 20}, "scale"]
        """
    )
    assert found == (
        FeatureSpec(("a", "b")),
        FeatureSpec(("c",), (Impute("constant", 3), Limit(0, math.inf), Scale(), MinMax())),
        FeatureSpec(("d",), (Impute("most_frequent"), OneHot())),
        FeatureSpec(("e",), (Ordinal(),)),
        FeatureSpec(("f",), (Target(20), Scale())),
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"columns": ["a"], "step": []}, r"number 1: unknown key 'step'"),
        ({"columns": []}, "'columns' must be"),
        ({"columns": "a"}, "'columns' must be"),
        ({"columns": ["a"], "steps": "scale"}, "'steps' must be a list"),
        ({"columns": ["a"], "steps": ["scael"]}, "unknown step 'scael'; known: impute, scale"),
        ({"columns": ["a"], "steps": [{"smooth": 1}]}, "a step is a name or a table"),
        ({"columns": ["a"], "steps": [{"step": "target", "smoth": 1}]}, "step 'target': unknown key 'smoth'"),
        ({"columns": ["a"], "steps": [{"step": "target", "smooth": -1}]}, "'smooth' must be"),
        ({"columns": ["a"], "steps": [{"step": "target", "smooth": "much"}]}, "'smooth' must be"),
        ({"columns": ["a"], "steps": [{"step": "clip", "low": 2, "high": 1}]}, "'low' and 'high'"),
        ({"columns": ["a"], "steps": [{"step": "clip", "low": "x"}]}, "'low' and 'high'"),
        ({"columns": ["a"], "steps": [{"step": "impute", "strategy": "mode"}]}, "strategy must be one of"),
        ({"columns": ["a"], "steps": [{"step": "impute", "strategy": "constant"}]}, "'value' belongs"),
        ({"columns": ["a"], "steps": [{"step": "impute", "value": 1}]}, "'value' belongs"),
        (
            {"columns": ["a"], "steps": [{"step": "impute", "strategy": "constant", "value": True}]},
            "a number or",
        ),
        ({"columns": ["a"], "steps": ["one-hot", "ordinal"]}, "only one of"),
        ({"columns": ["a"], "steps": ["scale", "target"]}, "before target"),
        ({"columns": ["a"], "steps": [{"step": "impute", "strategy": "mean"}, "one-hot"]}, "before one-hot"),
        ({"columns": ["a"], "steps": ["one-hot", "scale"]}, "one-hot must be the last"),
    ],
)
def test_a_table_without_meaning_is_refused_by_key(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_features([table])


def test_the_table_is_counted() -> None:
    with pytest.raises(ConfigError, match="number 2"):
        parse_features([{"columns": ["a"]}, {"columns": []}])


def test_no_tables_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        parse_features([])
