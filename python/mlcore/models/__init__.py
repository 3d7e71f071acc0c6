"""Models in mlcore's neutral forms, and the importers that bring them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from mlcore.errors import ModelFormatError, UnsupportedModel, UsageError
from mlcore.models import catboost, lightgbm, lightgbm_text, onnx, sklearn, xgboost
from mlcore.models.ensemble import Link, TreeEnsemble
from mlcore.models.linear import LinearModel
from mlcore.models.neural import NeuralNetwork

__all__ = ["LinearModel", "Link", "Model", "NeuralNetwork", "TreeEnsemble", "from_arrow", "read"]

Model = TreeEnsemble | LinearModel | NeuralNetwork


def read(source: Any, *, iterations: tuple[int, int] | None = None) -> Model:
    """Return `source` in neutral form: one already, a Booster of XGBoost or LightGBM, a CatBoost model, bytes or the
    path of a model file of one, an ONNX model as ModelProto, bytes or path, LightGBM's text, or a fitted scikit-learn
    estimator.

    `iterations` takes the boosting rounds [first, end) alone, as XGBoost's `iteration_range` does; without it, a LightGBM
    Booster that stopped early gives those up to its best, as in its own `predict`.

    Raises:
        ModelFormatError: a file that cannot be read, is cut short, or is of another kind.
        UnsupportedModel: a kind of model or a feature of one that is not imported; named in the message.
        UsageError: the model does not have these iterations.
    """
    if isinstance(source, Model):
        if iterations not in (None, (0, 0)):
            raise UsageError("a model in neutral form no longer knows its iterations; choose them when it is read")
        return source
    if is_text(source):
        return lightgbm.parse(source.encode(), iterations=iterations)
    if onnx.is_source(source):
        _whole(iterations, "an ONNX model")
        return onnx.read(source).model
    if isinstance(source, bytes | bytearray):
        return _parse(bytes(source), iterations, {})
    if isinstance(source, str | Path):
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise ModelFormatError(f"model file {source}: {error.strerror}") from error
        return _parse(data, iterations, {"where": f"model file {source}"})
    library = type(source).__module__.split(".")[0]
    if library == "xgboost" and hasattr(source, "save_raw"):
        return xgboost.from_booster(source, iterations)
    if library == "lightgbm" and hasattr(source, "model_to_string"):
        return lightgbm.from_booster(source, iterations)
    if is_catboost(source):
        return catboost.from_model(source, iterations)
    if sklearn.is_estimator(source):
        _whole(iterations, "a scikit-learn estimator")
        return sklearn.read(source).model
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    raise UnsupportedModel(
        f"models of type {kind} are not imported; a Booster of xgboost or lightgbm is, a CatBoost model, XGBoost's JSON and "
        "UBJ, LightGBM's text, CatBoost's JSON and .cbm, ONNX, and scikit-learn's estimators"
    )


def _whole(iterations: tuple[int, int] | None, what: str) -> None:
    if iterations not in (None, (0, 0)):
        raise UsageError(f"iterations are a Booster's; {what} is read whole")


def is_text(source: Any) -> bool:
    """Return whether `source` is the text of a LightGBM model itself, not the path of one."""
    return isinstance(source, str) and lightgbm_text.starts_like_one(source)


def is_catboost(source: Any) -> bool:
    """Return whether `source` is a model of CatBoost in memory, or of a class derived from one of its."""
    of_catboost = any(base.__module__.split(".")[0] == "catboost" for base in type(source).__mro__)
    return of_catboost and hasattr(source, "is_fitted")  # a Pool is none


def _parse(data: bytes, iterations: tuple[int, int] | None, named: dict[str, Any]) -> Model:
    if lightgbm_text.starts_like_one(data):
        return lightgbm.parse(data, iterations=iterations, **named)
    if catboost.starts_like_one(data):
        return catboost.parse(data, iterations=iterations, **named)
    if data[:64].lstrip()[:1] not in (b"", b"{"):
        raise ModelFormatError(
            f"{named.get('where', 'model')}: its first bytes, {data[:8]!r}, begin no model that is read; XGBoost's JSON and "
            "UBJ, LightGBM's text, CatBoost's JSON and .cbm, and .onnx are"
        )
    return xgboost.parse(data, iterations=iterations, **named)


def from_arrow(table: pa.Table) -> Model:
    """Return the model that its `to_arrow` wrote.

    Raises:
        ModelFormatError: the table holds none, is of an unknown format, or is malformed.
    """
    kinds = table.schema.metadata or {}
    if b"mlcore.linear_model" in kinds:
        return LinearModel.from_arrow(table)
    return NeuralNetwork.from_arrow(table) if b"mlcore.neural_network" in kinds else TreeEnsemble.from_arrow(table)
