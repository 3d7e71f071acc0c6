"""Links: from margins to what a model's library predicts, and to probabilities and labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from mlcore import ops
from mlcore.backend import Backend
from mlcore.models import Link
from mlcore.scoring.line import Array


def apply(link: Link, margins: Array, backend: Backend, *, steepness: float = 1.0) -> Array:
    """Return margins (rows, outputs) through the link, in their type: (rows, outputs), or (rows, 1) of argmax.

    `steepness` is what a sigmoid multiplies its margins by. Margins may be infinite: exp of a large one is, and the
    softmax of one is NaN, as in the libraries.
    """
    if link in ("identity", "probability", "share"):
        return margins
    if link == "sigmoid" and steepness == 1 and margins.dtype == np.float32:
        return sigmoid(margins, backend)  # cannot overflow, and a single row is in a hurry
    with np.errstate(over="ignore", invalid="ignore"):
        if link == "sigmoid":
            return sigmoid(margins * margins.dtype.type(steepness), backend)
        return _LINKS[link](margins)


def rising(margins: Array) -> Array:
    """Return the first margin, then each the softplus of its margin and 1e-6 above the one before: expectiles."""
    out = margins.copy()
    least = margins.dtype.type(1e-6)
    for k in range(1, margins.shape[1]):
        out[:, k] = out[:, k - 1] + (least + np.logaddexp(margins[:, k], margins.dtype.type(0)))
    return out


def _shares(scores: Array) -> Array:
    """Return several scores a row, none negative, over their sum; equal shares where all are zero. One stays as it is."""
    if scores.shape[1] == 1:
        return scores
    none = ~scores.any(axis=1, keepdims=True)
    scores = np.where(none, 1.0, scores)
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def softmax(margins: Array) -> Array:
    """Return exp(margin - the row's highest), over its sum; the sum in float64, as XGBoost's."""
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    total = powers.sum(axis=1, keepdims=True, dtype=np.float64).astype(margins.dtype)
    return np.asarray(powers / total)


def sigmoid(margins: Array, backend: Backend) -> Array:
    """Return 1 / (1 + exp(-margin)); of float32 by XGBoost's own formula."""
    if margins.dtype == np.float64:
        return _logistic(margins)
    out = np.empty_like(margins)
    ops.sigmoid(margins.reshape(-1), out.reshape(-1), backend=backend)
    return out


def _logistic(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


_LINKS: Final[dict[Link, Callable[[Array], Array]]] = {
    "identity": lambda margins: margins,
    "exp": np.exp,
    "step": lambda margins: (margins > 0).astype(margins.dtype),
    "argmax": lambda margins: np.asarray(np.argmax(margins, axis=1)[:, None], margins.dtype),
    "sorted": lambda margins: np.sort(margins, axis=1),
    "rising": rising,
    "softplus": lambda margins: np.log1p(np.exp(margins)),
    "signed_square": lambda margins: np.sign(margins) * margins * margins,
    "softmax": softmax,
    "share": lambda margins: margins,
    "opposite": lambda margins: np.concatenate([-margins, margins], axis=1),
    "probability": lambda margins: margins,
    "halflogit": lambda margins: _logistic(2 * margins),
    "ramp": lambda margins: _shares((np.clip(margins, -1, 1) + 1) / 2),
    "shares": lambda margins: _shares(_logistic(margins)),
    "variance": lambda margins: np.column_stack([margins[:, :1], np.exp(2 * margins[:, 1:])]),
    "isolation": lambda margins: np.asarray(-(2 ** (-margins))),
}
