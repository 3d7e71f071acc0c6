"""Stacks: a last model on what others answer, and with passthrough=True on their input too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as is_

from mlcore.data.tables import to_table
from mlcore.data.types import is_text, kind_of_type, plain
from mlcore.errors import SchemaMismatch
from mlcore.models import LinearModel
from mlcore.scoring.composite import ANSWERS, Composite
from mlcore.scoring.inputs import EXACT_FLOAT32, held, is_sparse
from mlcore.scoring.line import Array
from mlcore.scoring.scorer import Scorer
from mlcore.scoring.sums import explained
from mlcore.scoring.whole import Whole


@dataclass(frozen=True)
class Passed:
    """The input of a stack, as its last model reads it behind the answers."""

    whole: Whole
    answers: tuple[str, ...]
    """What the answers are called."""
    raw: bool
    """Whether transformers stand before the stack, which are folded into the last model: it reads raw columns."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that the last model reads."""
        return *self.answers, *self.whole.names

    def behind(self, answers: Array, X: Any) -> Any:
        """Return what the last model reads of X, which holds `whole` alone.

        As scikit-learn's: `np.hstack`, in NumPy's common type of answers and X; of a sparse X a sparse matrix, which leaves
        out answers of 0.
        """
        if is_sparse(X):
            from scipy import sparse  # X has brought it

            if self.raw and X.dtype == np.float32:
                raise SchemaMismatch(
                    "a sparse matrix of float32, which transformers before a stack with passthrough=True round to at every "
                    "step; pass float64"
                )
            return sparse.hstack([answers, X], format="csr")
        if self.raw:
            return self._columns(answers, X)
        found = np.hstack([answers, self._matrix(X)])
        exact = np.all((found <= EXACT_FLOAT32) & (found >= -EXACT_FLOAT32)) if found.dtype.kind in "iu" else True
        if isinstance(X, pa.Table) and not exact:
            raise SchemaMismatch(
                "integers above 2**24 beside labels are rounded by some libraries, but not where pandas makes objects of "
                "their columns, which an Arrow table does not tell; pass a NumPy array or a pandas frame"
            )
        return found

    def _columns(self, answers: Array, X: Any) -> pa.Table:
        """Answers and raw columns, each in its own type."""
        table = self._table(X)
        if answers.dtype == np.float32 and any(field.type != pa.float32() for field in table.schema):
            answers = answers.astype(np.float64)  # what stands beside them in the library's matrix is float64
        return pa.table([*map(pa.array, answers.T), *table.columns], names=list(self.names))

    def _matrix(self, X: Any) -> Array:
        """X as `np.asarray` gives it; of objects, which pandas makes of some types together, scikit-learn makes float64."""
        if not isinstance(X, pa.Table) and _is_numeric(np.asarray(X[:0])):
            found = np.asarray(X)
            if _is_numeric(found):  # a missing one among pandas' own booleans makes objects of all
                return found
        table = self._table(X)
        found = np.column_stack([_numbers(name, table.column(i)) for i, name in enumerate(table.column_names)])
        return found if isinstance(X, pa.Table) else found.astype(np.float64)

    def _table(self, X: Any) -> pa.Table:
        return to_table(X, names=list(self.whole.names) if isinstance(X, np.ndarray) else None)


@dataclass(frozen=True, eq=False)
class Stack(Composite):
    """A last model on what the parts answer, and on what is `passed` of X."""

    methods: tuple[str, ...]
    final: Scorer | Composite
    classes: Array | None
    passed: Passed | None = None
    transformed: bool = False
    """Whether transformers stand before the stack, so that its features are what these give."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Raw columns that the parts and the last model read."""
        return super().columns if self.passed is None else self.passed.whole.names

    def predict(self, X: Any) -> Array:
        """Return the last model's labels, which stand for the classes' places, or its values."""
        found = self.final.predict(self._read(X))
        return found if self.classes is None else self.classes[np.ravel(found)]  # CatBoost gives labels as a column

    def predict_proba(self, X: Any) -> Array:
        """Return the last model's probabilities."""
        return self.final.predict_proba(self._read(X))

    def decision_function(self, X: Any) -> Array:
        """Return the last model's scores."""
        return ANSWERS["decision_function"](self.final, self._read(X))

    def explain(self, X: Any) -> Array:
        """Return how much each column adds to each row's value, float64: the parts' SHAP values times their weights.

        Features and shape are as of a vote.

        Raises:
            UnsupportedModel: the stack says classes, its last model is not linear or reads more than answers, or what a part
                says is no sum of what its features add.
        """
        if self.classes is not None or self.passed is not None or not _adds_up(self.final):
            return super().explain(X)
        values = explained(self.parts, held(X), link="identity", transformed=self.transformed)
        weights = self.final.explain(np.ones((1, len(self.parts))))[0]
        out = np.tensordot(weights[:-1], values, axes=1)
        out[:, -1] += weights[-1]
        return np.asarray(out)

    def describe(self) -> dict[str, Any]:
        """Return what it is made of, and its last model."""
        return {**super().describe(), "last": self.final.describe()}

    def _read(self, X: Any) -> Any:
        """What the last model reads."""
        if self.passed is None:
            return np.hstack(self._stacked(X)).astype(np.float64)
        X = self.passed.whole.of(X)
        return self.passed.behind(np.hstack(self._stacked(X)), X)

    def _stacked(self, X: Any) -> list[Array]:
        """Each part's answers, as columns."""
        answers = self._answers(X, *self.methods)
        return [self._column(answer, method) for answer, method in zip(answers, self.methods, strict=True)]

    def _column(self, answer: Array, method: str) -> Array:
        """One column an answer; of two probabilities the second alone."""
        if answer.ndim == 1:
            return answer[:, None]
        two = self.classes is not None and len(self.classes) == 2
        return answer[:, 1:] if two and method == "predict_proba" else answer


def _adds_up(final: Scorer | Composite) -> bool:
    """Whether a last model adds answers times weights, and says so."""
    if not isinstance(final, Scorer) or not isinstance(final.model, LinearModel):
        return False
    return final.model.link == "identity" and not any(feature.steps for feature in final.features)


def _is_numeric(values: Array) -> bool:
    return values.dtype.kind in "biuf"


def _numbers(name: str, values: pa.ChunkedArray) -> Array:
    """A column's numbers: NaN for null, and categories that are numbers as these."""
    type_ = values.type.value_type if is_.is_dictionary(values.type) else values.type
    if is_text(type_) or is_.is_temporal(type_):
        raise SchemaMismatch(
            f"column '{name}' holds {plain(type_)}, which cannot be passed through to a stack's last model; numbers can"
        )
    whole = kind_of_type(type_, column=name) != "f8" and not is_.is_floating(type_) and not values.null_count
    wanted = type_ if whole or is_.is_floating(type_) else pa.float64()
    return np.asarray(values.cast(wanted, safe=False).to_numpy())
