"""Comparison of profiles: an effect large enough, beyond chance, and still there when all columns are counted together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from mlcore.drift import statistics as stats
from mlcore.drift.groups import Groups, group
from mlcore.errors import DataError, UsageError
from mlcore.profile import CategoricalColumn, ColumnProfile, NumericColumn, Profile

Verdict = Literal["ok", "drift", "insufficient", "absent", "new", "retyped"]
METHOD: Final = "Jensen–Shannon distance"
CURRENT: Final = "current"


@dataclass(frozen=True)
class Settings:
    """When a column has drifted: its distance is at least `threshold`, above what chance gives with `confidence`, and its
    chi-square test is rejected at false discovery rate `rate` over the window's columns, in `persistence` windows in a row.
    """

    threshold: float = 0.1
    confidence: float = 0.99
    rate: float = 0.05
    persistence: int = 1

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("confidence", self.confidence), ("rate", self.rate)):
            if not 0 < value < 1:
                raise UsageError(f"{name} must lie between 0 and 1, not {value}")
        if self.persistence < 1:
            raise UsageError(f"persistence must be at least 1, not {self.persistence}")


@dataclass(frozen=True)
class ColumnDrift:
    """One column in one window. Shares and scores are None where there is nothing to compare."""

    name: str
    verdict: Verdict
    score: float | None = None
    floor: float | None = None
    p_value: float | None = None
    psi: float | None = None
    ks: stats.Bounds | None = None
    missing_reference: float | None = None
    missing_current: float | None = None
    unseen: float | None = None
    groups: Groups | None = None


@dataclass(frozen=True)
class Window:
    """All columns of one window of rows."""

    name: str
    rows: int
    columns: tuple[ColumnDrift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the columns that drifted, vanished, appeared or changed type."""
        return tuple(item.name for item in self.columns if item.verdict not in ("ok", "insufficient"))


def windows(reference: Profile, current: Profile | Mapping[str, Profile], settings: Settings) -> tuple[Window, ...]:
    """Return the comparison of each window of `current` with the reference."""
    if reference.rows == 0:
        raise DataError("the reference profile has no rows: there is nothing to compare with")
    named = {CURRENT: current} if isinstance(current, Profile) else dict(current)
    if not named:
        raise UsageError("there is no window to compare")
    compared = [_window(name, reference, profile, settings) for name, profile in named.items()]
    return tuple(_persistent(compared, settings.persistence))


def _window(name: str, reference: Profile, current: Profile, settings: Settings) -> Window:
    names = list(dict.fromkeys([*reference.columns, *current.columns]))
    measured = [_measure(column, reference, current, settings) for column in names]
    tested = [i for i, item in enumerate(measured) if item.p_value is not None]
    rejected = stats.benjamini_hochberg(np.array([measured[i].p_value for i in tested], float), rate=settings.rate)
    for i, reject in zip(tested, rejected, strict=True):
        measured[i] = _decided(measured[i], bool(reject), settings)
    return Window(name, current.rows, tuple(measured))


def _measure(name: str, reference: Profile, current: Profile, settings: Settings) -> ColumnDrift:
    before, now = reference.columns.get(name), current.columns.get(name)
    if before is None or now is None:
        return ColumnDrift(name, "new" if before is None else "absent")
    if _kind(before) != _kind(now):
        return ColumnDrift(name, "retyped")
    groups = group(before, now, name=name)
    if now.rows == 0:
        return ColumnDrift(name, "insufficient", groups=groups)
    p, q = stats.shares(groups.reference), stats.shares(groups.current)
    statistic, freedom = stats.chi_square(groups.reference, groups.current)
    return ColumnDrift(
        name,
        "ok",
        score=stats.jensen_shannon(p, q),
        floor=stats.noise_floor(groups.reference, groups.current, confidence=settings.confidence),
        p_value=stats.chi_square_tail(statistic, freedom),
        psi=stats.psi(p, q),
        ks=_ks(before, now),
        missing_reference=before.missing_rows / before.rows if before.rows else 0.0,
        missing_current=now.missing_rows / now.rows,
        unseen=now.unseen / now.rows if isinstance(now, CategoricalColumn) else None,
        groups=groups,
    )


def _kind(column: ColumnProfile) -> str:
    return str(column.edges.dtype) if isinstance(column, NumericColumn) else "categories"


def _ks(before: ColumnProfile, now: ColumnProfile) -> stats.Bounds | None:
    if not (isinstance(before, NumericColumn) and isinstance(now, NumericColumn)):
        return None
    if not (before.counts.any() and now.counts.any()):
        return None
    return stats.kolmogorov_smirnov(before.counts, now.counts)


def _decided(item: ColumnDrift, rejected: bool, settings: Settings) -> ColumnDrift:
    assert item.score is not None
    assert item.floor is not None
    if item.score >= settings.threshold and item.score > item.floor and rejected:
        return _with_verdict(item, "drift")
    return _with_verdict(item, "insufficient" if item.floor >= settings.threshold else "ok")


def _with_verdict(item: ColumnDrift, verdict: Verdict) -> ColumnDrift:
    return ColumnDrift(**{**{key: getattr(item, key) for key in item.__dataclass_fields__}, "verdict": verdict})


def _persistent(compared: list[Window], needed: int) -> list[Window]:
    """Take back a column's drift where it did not hold in the windows just before."""
    streak: dict[str, int] = {}
    result = []
    for window in compared:
        columns = []
        for item in window.columns:
            streak[item.name] = streak.get(item.name, 0) + 1 if item.verdict == "drift" else 0
            early = item.verdict == "drift" and streak[item.name] < needed
            columns.append(_with_verdict(item, "ok") if early else item)
        result.append(Window(window.name, window.rows, tuple(columns)))
    return result
