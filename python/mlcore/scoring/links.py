"""Links: from margins to what a model's library predicts, and to probabilities and labels."""

from __future__ import annotations

import numpy as np

from mlcore import ops
from mlcore.backend import Backend
from mlcore.models import Link
from mlcore.scoring.line import Array


def apply(link: Link, margins: Array, backend: Backend) -> Array:
    """Return margins (rows, outputs) through the link, in their type: (rows, outputs), or (rows, 1) of argmax."""
    if link in ("identity", "probability"):
        return margins
    if link == "exp":
        return np.asarray(np.exp(margins))
    if link == "step":
        return (margins > 0).astype(margins.dtype)
    if link == "argmax":
        return np.asarray(np.argmax(margins, axis=1)[:, None], margins.dtype)
    if link == "sorted":
        return np.sort(margins, axis=1)
    if link == "rising":
        return rising(margins)
    if link == "isolation":
        return np.asarray(-(2 ** (-margins)))
    if link == "ramp":
        return _shares((np.clip(margins, -1, 1) + 1) / 2)
    if link == "shares":
        return _shares(sigmoid(margins, backend))
    if link == "halflogit":
        return sigmoid(2 * margins, backend)
    return softmax(margins) if link == "softmax" else sigmoid(margins, backend)


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
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-margins)))
    out = np.empty_like(margins)
    ops.sigmoid(margins.reshape(-1), out.reshape(-1), backend=backend)
    return out
