"""Groups: fine bins joined to about twenty of equal reference mass, so that no sliver of a bin decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlcore.errors import ProfileMismatch
from mlcore.profile import CategoricalColumn, ColumnProfile, NumericColumn

Array = np.ndarray[Any, Any]
MOST_GROUPS: Final = 20
MOST_CATEGORIES: Final = 30
_ADVICE: Final = "count the current rows with reference.empty(), which has the reference's own"


@dataclass(frozen=True, eq=False)
class Groups:
    """Both sides' counts over shared groups. The last `special` groups are not values: unseen, missing."""

    labels: tuple[str, ...]
    reference: Array
    current: Array
    special: int


def group(reference: ColumnProfile, current: ColumnProfile, *, name: str) -> Groups:
    """Return both sides over the reference's groups, missing rows (null and NaN) in one of their own.

    Raises:
        ProfileMismatch: the two count over different edges or categories.
    """
    if isinstance(reference, NumericColumn):
        if not isinstance(current, NumericColumn) or not np.array_equal(reference.edges, current.edges):
            raise ProfileMismatch(f"column '{name}': the profiles count over different edges; {_ADVICE}")
        return _numeric(reference, current)
    if not isinstance(current, CategoricalColumn) or reference.categories != current.categories:
        raise ProfileMismatch(f"column '{name}': the profiles count different categories; {_ADVICE}")
    return _categorical(reference, current)


def _numeric(reference: NumericColumn, current: NumericColumn) -> Groups:
    starts = group_starts(reference.counts)
    edges = reference.edges
    bounds = [None if start == 0 else edges[start - 1] for start in starts]
    labels = [_label(low, high) for low, high in zip(bounds, [*bounds[1:], None], strict=True)]
    sides = [np.append(np.add.reduceat(side.counts, starts), side.missing_rows) for side in (reference, current)]
    return Groups((*labels, "missing"), sides[0], sides[1], 1)


def group_starts(counts: Array) -> Array:
    """Return the first bin of each group: at most twenty, of about equal mass, none of them empty but an outer one.

    A bin that alone has a group's mass stands alone.
    """
    total = counts.sum()
    if len(counts) <= MOST_GROUPS or total == 0:
        return np.unique(np.linspace(0, len(counts) - 1, min(len(counts), MOST_GROUPS)).astype(int))
    share = total / MOST_GROUPS
    starts, held = [0], 0
    for i, count in enumerate(counts):
        if held and (held + count > share * 1.5 or held >= share):
            starts.append(i)
            held = 0
        held += count
    return np.array(starts)


def _label(low: Any, high: Any) -> str:
    if low is None:
        return "all" if high is None else f"< {number(high)}"
    return f"≥ {number(low)}" if high is None else f"{number(low)} to {number(high)}"


def number(value: float) -> str:
    """Return a number short enough for a label."""
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e7 else f"{value:.4g}"


def _categorical(reference: CategoricalColumn, current: CategoricalColumn) -> Groups:
    order = np.argsort(-reference.counts, kind="stable")[:MOST_CATEGORIES]
    rest = len(reference.counts) > len(order)
    labels = [reference.categories[i] for i in order] + (["all others"] if rest else [])
    sides = []
    for side in (reference, current):
        top = side.counts[order]
        others = [side.counts.sum() - top.sum()] if rest else []
        sides.append(np.array([*top, *others, side.unseen, side.missing], np.int64))
    return Groups((*labels, "unseen", "missing"), sides[0], sides[1], 2)
