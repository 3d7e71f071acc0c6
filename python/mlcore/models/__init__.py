"""Models in mlcore's neutral form, and the importers that bring them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models import xgboost
from mlcore.models.ensemble import Link, TreeEnsemble

__all__ = ["Link", "TreeEnsemble", "read"]


def read(source: Any) -> TreeEnsemble:
    """Return `source` as a TreeEnsemble: one already, an `xgboost.Booster`, bytes, or the path of a model file.

    Raises:
        ModelFormatError: a file that cannot be read, is cut short, or is of another kind.
        UnsupportedModel: a kind of model or a feature of one that is not imported; named in the message.
    """
    if isinstance(source, TreeEnsemble):
        return source
    if isinstance(source, bytes | bytearray):
        return xgboost.parse(bytes(source))
    if isinstance(source, str | Path):
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise ModelFormatError(f"model file {source}: {error.strerror}") from error
        return xgboost.parse(data, where=f"model file {source}")
    if type(source).__module__.split(".")[0] == "xgboost" and hasattr(source, "save_raw"):
        return xgboost.from_booster(source)
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    raise UnsupportedModel(f"models of type {kind} are not imported; an xgboost Booster, JSON or UBJ is")
