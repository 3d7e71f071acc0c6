"""Models in mlcore's neutral forms, and the importers that bring them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from mlcore.errors import ModelFormatError, UnsupportedModel, UsageError
from mlcore.models import sklearn, xgboost
from mlcore.models.ensemble import Link, TreeEnsemble
from mlcore.models.linear import LinearModel
from mlcore.models.neural import NeuralNetwork

__all__ = ["LinearModel", "Link", "Model", "NeuralNetwork", "TreeEnsemble", "from_arrow", "read"]

Model = TreeEnsemble | LinearModel | NeuralNetwork


def read(source: Any, *, iterations: tuple[int, int] | None = None) -> Model:
    """Return `source` in neutral form: one already, an `xgboost.Booster`, bytes, the path of a model
    file, or a fitted scikit-learn estimator.

    `iterations` takes the boosting rounds [first, end) alone, as XGBoost's `iteration_range` does.

    Raises:
        ModelFormatError: a file that cannot be read, is cut short, or is of another kind.
        UnsupportedModel: a kind of model or a feature of one that is not imported; named in the message.
        UsageError: the model does not have these iterations.
    """
    if isinstance(source, Model):
        if iterations not in (None, (0, 0)):
            raise UsageError("a model in neutral form no longer knows its iterations; choose them when it is read")
        return source
    if isinstance(source, bytes | bytearray):
        return xgboost.parse(bytes(source), iterations=iterations)
    if isinstance(source, str | Path):
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise ModelFormatError(f"model file {source}: {error.strerror}") from error
        return xgboost.parse(data, where=f"model file {source}", iterations=iterations)
    if type(source).__module__.split(".")[0] == "xgboost" and hasattr(source, "save_raw"):
        return xgboost.from_booster(source, iterations)
    if sklearn.is_estimator(source):
        if iterations not in (None, (0, 0)):
            raise UsageError("iterations are XGBoost's; a scikit-learn estimator is read whole")
        return sklearn.read(source).model
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    raise UnsupportedModel(f"models of type {kind} are not imported; XGBoost's and scikit-learn's are")


def from_arrow(table: pa.Table) -> Model:
    """Return the model that its `to_arrow` wrote.

    Raises:
        ModelFormatError: the table holds none, is of an unknown format, or is malformed.
    """
    kinds = table.schema.metadata or {}
    if b"mlcore.linear_model" in kinds:
        return LinearModel.from_arrow(table)
    return NeuralNetwork.from_arrow(table) if b"mlcore.neural_network" in kinds else TreeEnsemble.from_arrow(table)
