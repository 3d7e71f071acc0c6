"""LinearModel: weighted sums of features in mlcore's own neutral form, and that form as Arrow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, get_args

import numpy as np
import pyarrow as pa

from mlcore.errors import ModelFormatError
from mlcore.models.damage import reading
from mlcore.models.ensemble import Categories, Link

FORMAT: Final = 1
_METADATA_KEY: Final = b"mlcore.linear_model"

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Weighted sums of numeric features, one sum an output, followed by a link.

    The margin of output k starts as `bias[k] + base_margin[k]`; features are added in their order, each
    `value * weights[feature, k]`, all in `weights`' type. A missing feature adds nothing, or is an error where
    `accepts_missing` is not set.
    """

    source: str
    objective: str
    link: Link
    base_margin: tuple[float, ...]
    feature_names: tuple[str, ...]
    named: bool
    stored_categories: tuple[Categories | None, ...]
    weights: Array  # float32 or float64 (features, outputs)
    bias: Array  # of the same type (outputs)
    accepts_missing: bool = True

    def __post_init__(self) -> None:
        shape = (self.n_features, self.n_outputs)
        if self.link not in get_args(Link):
            raise ModelFormatError(f"unknown link {self.link!r}")
        if self.weights.shape != shape or self.bias.shape != shape[1:]:
            raise ModelFormatError(f"weights are of shape {self.weights.shape}, features and outputs ask for {shape}")
        if self.weights.dtype not in (np.float32, np.float64) or self.bias.dtype != self.weights.dtype:
            raise ModelFormatError(f"weights are of type {self.weights.dtype}, the bias of {self.bias.dtype}")
        if len(set(self.feature_names)) != len(self.feature_names) or len(self.stored_categories) != shape[0]:
            raise ModelFormatError(
                "feature names are not unique, or categories are given for another number of features"
            )

    @property
    def n_features(self) -> int:
        """How many columns a row has."""
        return len(self.feature_names)

    @property
    def n_trees(self) -> int:
        """None."""
        return 0

    @property
    def n_nodes(self) -> int:
        """None."""
        return 0

    @property
    def n_outputs(self) -> int:
        """How many margins a row has."""
        return len(self.base_margin)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that margins are summed in."""
        return np.dtype(self.weights.dtype)

    def to_arrow(self) -> pa.Table:
        """Return one row a feature and a last one for the bias; the scalars travel as schema metadata."""
        scalars = {
            "format": FORMAT,
            "source": self.source,
            "objective": self.objective,
            "link": self.link,
            "base_margin": [float(value).hex() for value in self.base_margin],
            "feature_names": self.feature_names,
            "named": self.named,
            "stored_categories": self.stored_categories,
            "accepts_missing": self.accepts_missing,
        }
        rows = np.vstack([self.weights, self.bias])
        columns = {f"weight_{k}": np.ascontiguousarray(rows[:, k]) for k in range(rows.shape[1])}
        return pa.table(columns).replace_schema_metadata({_METADATA_KEY: json.dumps(scalars).encode()})

    @staticmethod
    def from_arrow(table: pa.Table) -> LinearModel:
        """Return the model that `to_arrow` wrote.

        Raises:
            ModelFormatError: the table is not one, is of an unknown format, or is malformed.
        """
        with reading("linear table", "linear model"):
            text = (table.schema.metadata or {}).get(_METADATA_KEY)
            if text is None:
                raise ModelFormatError(
                    "this Arrow table holds no linear model (metadata 'mlcore.linear_model' is absent)"
                )
            scalars: dict[str, Any] = json.loads(text)
            if scalars.get("format") != FORMAT:
                raise ModelFormatError(f"format {scalars.get('format')}, this version reads {FORMAT}")
            base = tuple(float.fromhex(value) for value in scalars["base_margin"])
            rows = np.stack([table[f"weight_{k}"].combine_chunks().to_numpy() for k in range(len(base))], axis=1)
            return LinearModel(
                source=scalars["source"],
                objective=scalars["objective"],
                link=scalars["link"],
                base_margin=base,
                feature_names=tuple(scalars["feature_names"]),
                named=scalars["named"],
                stored_categories=tuple(None if c is None else tuple(c) for c in scalars["stored_categories"]),
                weights=rows[:-1],
                bias=rows[-1],
                accepts_missing=bool(scalars["accepts_missing"]),
            )
