"""NeuralNetwork: small dense networks in mlcore's own neutral form, and that form as Arrow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, get_args

import numpy as np
import pyarrow as pa

from mlcore.errors import ModelFormatError
from mlcore.models.damage import reading
from mlcore.models.ensemble import Array, Categories, Link

Activation = Literal["identity", "logistic", "relu", "tanh"]
FORMAT: Final = 1
_METADATA_KEY: Final = b"mlcore.neural_network"


@dataclass(frozen=True, eq=False)
class NeuralNetwork:
    """Layers of weighted sums, `activation` between them, followed by a link.

    Layer i gives `x @ weights[i] + biases[i]`, all in float64; the last one's are the margins.
    """

    source: str
    objective: str
    link: Link
    feature_names: tuple[str, ...]
    named: bool
    activation: Activation
    weights: tuple[Array, ...]  # float64 (inputs, outputs), a layer each
    biases: tuple[Array, ...]  # float64 (outputs), a layer each
    accepts_missing: bool = False

    def __post_init__(self) -> None:
        if self.link not in get_args(Link) or self.activation not in get_args(Activation):
            raise ModelFormatError(f"unknown link {self.link!r} or activation {self.activation!r}")
        if not self.weights or len(self.weights) != len(self.biases):
            raise ModelFormatError(f"{len(self.weights)} layers of weights, {len(self.biases)} of biases")
        for weight, bias in zip(self.weights, self.biases, strict=True):
            if weight.dtype != np.float64 or bias.dtype != np.float64 or weight.shape[1:] != bias.shape:
                raise ModelFormatError(f"a layer's weights are of shape {weight.shape}, its biases of {bias.shape}")
        if any(before.shape[1] != after.shape[0] for before, after in pairwise(self.weights)):
            raise ModelFormatError("a layer takes another number of values than the one before it gives")
        if len(set(self.feature_names)) != len(self.feature_names) or len(self.weights[0]) != self.n_features:
            raise ModelFormatError("feature names are not unique, or the first layer takes another number of features")

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
        return len(self.biases[-1])

    @property
    def base_margin(self) -> tuple[float, ...]:
        """What margins start from."""
        return (0.0,) * self.n_outputs

    @property
    def stored_categories(self) -> tuple[Categories | None, ...]:
        """None of any feature."""
        return (None,) * self.n_features

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that margins are summed in."""
        return np.dtype(np.float64)

    def to_arrow(self) -> pa.Table:
        """Return one row a number: each layer's weights, row by row, and then its biases."""
        scalars = {
            "format": FORMAT,
            "source": self.source,
            "objective": self.objective,
            "link": self.link,
            "feature_names": self.feature_names,
            "named": self.named,
            "activation": self.activation,
            "widths": [len(self.weights[0]), *(len(bias) for bias in self.biases)],
            "accepts_missing": self.accepts_missing,
        }
        parts = [part.reshape(-1) for layer in zip(self.weights, self.biases, strict=True) for part in layer]
        table = pa.table({"value": np.concatenate(parts)})
        return table.replace_schema_metadata({_METADATA_KEY: json.dumps(scalars).encode()})

    @staticmethod
    def from_arrow(table: pa.Table) -> NeuralNetwork:
        """Return the network that `to_arrow` wrote.

        Raises:
            ModelFormatError: the table is not one, is of an unknown format, or is malformed.
        """
        with reading("network table", "neural network"):
            text = (table.schema.metadata or {}).get(_METADATA_KEY)
            if text is None:
                raise ModelFormatError("this Arrow table holds no network (metadata 'mlcore.neural_network' is absent)")
            scalars: dict[str, Any] = json.loads(text)
            if scalars.pop("format", None) != FORMAT:
                raise ModelFormatError(f"another format than {FORMAT}, which this version reads")
            widths, names = scalars.pop("widths"), tuple(scalars.pop("feature_names"))
            weights, biases = _layers(table["value"].combine_chunks().to_numpy(), widths)
            return NeuralNetwork(**scalars, feature_names=names, weights=weights, biases=biases)


def _layers(values: Array, widths: list[int]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    shapes = [shape for inputs, outputs in pairwise(widths) for shape in ((inputs, outputs), (outputs,))]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    if not len(ends) or ends[-1] != len(values):
        raise ValueError(f"{len(values)} numbers for layers of widths {widths}")
    parts = np.split(values, ends[:-1])
    arrays = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    return tuple(arrays[::2]), tuple(arrays[1::2])
