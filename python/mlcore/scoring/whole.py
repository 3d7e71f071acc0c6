"""Whole: all columns that a model was fitted on, which may be more than it reads, and X with these alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlcore.errors import SchemaMismatch, UnsupportedModel
from mlcore.scoring.inputs import held, in_order, is_sparse


@dataclass(frozen=True)
class Whole:
    """The columns that a model was fitted on, in order."""

    names: tuple[str, ...]
    named: bool
    """Whether a table's columns are found by these names; else by position."""
    joined: bool
    """Whether a space in a table's name stands as an underscore here."""

    def of(self, X: Any) -> Any:
        """Return X with these columns in this order: a matrix, a pandas frame or an Arrow table, as `held` gives them.

        Raises:
            SchemaMismatch: a column is missing or stands twice, or there are too few or too many without names.
        """
        X = held(X)
        if isinstance(X, np.ndarray) or is_sparse(X):
            if len(X.shape) != 2 or X.shape[1] != len(self.names):
                raise SchemaMismatch(f"expected an array of shape (rows, {len(self.names)}), found {X.shape}")
            return X
        frame = hasattr(X, "iloc")
        found = list(map(str, X.columns)) if frame else X.column_names
        places = in_order(found, self.names, named=self.named, joined=self.joined)
        return X.iloc[:, places] if frame else X.select(places)


def common(wholes: Sequence[Whole]) -> Whole:
    """Return the columns that several models were all fitted on, with names where one of them knows any.

    Raises:
        UnsupportedModel: they were fitted on different ones.
    """
    best = next((whole for whole in wholes if whole.named), wholes[0])
    for whole in wholes:
        if len(whole.names) != len(best.names) or (whole.named and _joined(whole) != _joined(best)):
            raise UnsupportedModel(
                f"the estimators of a stack with passthrough=True were fitted on different columns: "
                f"{', '.join(best.names[:40])} and {', '.join(whole.names[:40])}; fit all of them on the same ones"
            )
    return best


def _joined(whole: Whole) -> list[str]:
    return [name.replace(" ", "_") for name in whole.names]
