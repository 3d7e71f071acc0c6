"""Gates: named conditions that a candidate must meet before it is promoted."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlcore.errors import ConfigError


@dataclass(frozen=True)
class Gate:
    """A metric and the inclusive limits it must keep."""

    metric: str
    minimum: float | None = None
    maximum: float | None = None

    @property
    def limit(self) -> str:
        """The limits as text, such as "at least 0.65"."""
        parts = []
        if self.minimum is not None:
            parts.append(f"at least {self.minimum:g}")
        if self.maximum is not None:
            parts.append(f"at most {self.maximum:g}")
        return " and ".join(parts)


@dataclass(frozen=True)
class GateResult:
    """What a gate found; `value` is None where the metric was not measured."""

    metric: str
    value: float | None
    limit: str
    passed: bool

    def __str__(self) -> str:
        found = "was not measured" if self.value is None else f"is {self.value:.6g}"
        return f"{self.metric} {found}, {'as it must be' if self.passed else 'and must be'} {self.limit}"

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON-ready dictionary; NaN and infinities become text."""
        finite = self.value is None or math.isfinite(self.value)
        value = self.value if finite else str(self.value)
        return {"metric": self.metric, "value": value, "limit": self.limit, "passed": self.passed}


def parse(table: Mapping[str, Any], *, known: Collection[str]) -> tuple[Gate, ...]:
    """Return the gates that the table [gates] of mlcore.toml declares, such as `auc = {min = 0.65}`.

    Args:
        table: metric to limits.
        known: the metrics that evaluation measures.

    Raises:
        ConfigError: a metric is not known, or a limit is not a number; the message names the key.
    """
    return tuple(_gate(metric, limits, known) for metric, limits in table.items())


def evaluate(metrics: Mapping[str, float], gates: Sequence[Gate]) -> tuple[GateResult, ...]:
    """Return one result a gate, in their order; a metric that is missing or NaN fails its gate."""
    return tuple(_result(gate, metrics.get(gate.metric)) for gate in gates)


def _result(gate: Gate, value: float | None) -> GateResult:
    # Written so that NaN, for which every comparison is false, fails.
    passed = (
        value is not None
        and not math.isnan(value)
        and (gate.minimum is None or value >= gate.minimum)
        and (gate.maximum is None or value <= gate.maximum)
    )
    return GateResult(gate.metric, None if value is None else float(value), gate.limit, passed)


def _gate(metric: str, limits: Any, known: Collection[str]) -> Gate:
    if metric not in known:
        raise ConfigError(
            f"mlcore.toml, table [gates]: unknown metric '{metric}'; measured are {', '.join(sorted(known))}"
        )
    if not isinstance(limits, Mapping) or not limits:
        raise ConfigError(f"mlcore.toml, [gates] {metric}: give limits, such as {{min = 0.65}} or {{max = 0.1}}")
    for key in limits:
        if key not in ("min", "max"):
            raise ConfigError(f"mlcore.toml, [gates] {metric}: unknown key '{key}'; it takes min and max")
    gate = Gate(metric, _number(metric, "min", limits), _number(metric, "max", limits))
    if gate.minimum is not None and gate.maximum is not None and gate.minimum > gate.maximum:
        raise ConfigError(f"mlcore.toml, [gates] {metric}: min {gate.minimum:g} is above max {gate.maximum:g}")
    return gate


def _number(metric: str, key: str, limits: Mapping[str, Any]) -> float | None:
    if key not in limits:
        return None
    value = limits[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"mlcore.toml, [gates] {metric}: {key} must be a number, not {value!r}")
    return float(value)
