"""ColumnTransformer: different columns through different transformers, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import _check_feature_names_in, check_array, check_is_fitted, validate_data

from mlcore.data.tables import to_table
from mlcore.errors import UnsupportedModel
from mlcore.preprocessing.draft import Draft
from mlcore.preprocessing.features import Transforms
from mlcore.preprocessing.inputs import InvalidInput, Strings, is_table, raw_names, read_columns
from mlcore.preprocessing.lower import to_transforms
from mlcore.preprocessing.steps import Array


class ColumnTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The outputs of several transformers, each on its own columns, side by side in one dense array.

    `transformers` lists (name, transformer, columns). The transformer is an estimator, a list of them that run one
    after the other, "passthrough" or "drop"; the columns are names, positions, a slice, a mask, or one of these.
    """

    def __init__(
        self,
        transformers: Sequence[tuple[str, Any, Any]],
        *,
        remainder: Literal["drop", "passthrough"] = "drop",
        verbose_feature_names_out: bool = True,
    ) -> None:
        self.transformers = transformers
        self.remainder = remainder
        self.verbose_feature_names_out = verbose_feature_names_out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def fit(self, X: Any, y: Any = None) -> ColumnTransformer:
        """Return self with its transformers fitted; they are cloned, those given stay as they are."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Return what the transformers' own `fit_transform` give, side by side; self is fitted."""
        X = self._read(X, reset=True)
        self.transformers_ = []
        blocks = []
        for name, given, places in self._plan():
            chain = [clone(step) for step in _chain(given)]
            block = _select(X, places)
            for step in chain:
                block = step.fit_transform(block, y) if _takes_target(step) else step.fit_transform(block)
            self.transformers_.append((name, given if isinstance(given, str) else chain, places))
            blocks.append(_dense(block))
        return _side_by_side(blocks, X)

    def transform(self, X: Any) -> Array:
        """Return the transformers' outputs side by side: float64, or object where strings pass through."""
        check_is_fitted(self)
        X = self._read(X, reset=False)
        blocks = []
        for _, chain, places in self.transformers_:
            block = _select(X, places)
            for step in _chain(chain):
                block = step.transform(block)
            blocks.append(_dense(block))
        return _side_by_side(blocks, X)

    def _read(self, X: Any, *, reset: bool) -> Any:
        if is_table(X):
            X = X if hasattr(X, "iloc") else to_table(X)
        else:
            X = check_array(X, dtype=_kind_of(X), ensure_all_finite=False, estimator=self, input_name="X")
        validate_data(self, X, reset=reset, skip_check_array=True)
        return X

    def _plan(self) -> list[tuple[str, Any, list[int]]]:
        names = [name for name, _, _ in self.transformers]
        if len(set(names)) != len(names):
            raise InvalidInput(f"Names provided are not unique: {names}")
        known = getattr(self, "feature_names_in_", None)
        columns = None if known is None else [str(name) for name in known]
        plan = [(n, step, _places(key, columns, self.n_features_in_)) for n, step, key in self.transformers]
        used = {place for _, _, places in plan for place in places}
        rest = [place for place in range(self.n_features_in_) if place not in used]
        if self.remainder == "passthrough" and rest:
            plan.append(("remainder", "passthrough", rest))
        elif self.remainder not in ("drop", "passthrough"):
            raise InvalidInput(f"remainder must be 'drop' or 'passthrough', not {self.remainder!r}")
        return [(n, step, places) for n, step, places in plan if places and not _is(step, "drop")]

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return the outputs' names, with their transformer's name before them unless switched off."""
        check_is_fitted(self)
        columns = _check_feature_names_in(self, input_features)
        found: list[str] = []
        for name, chain, places in self.transformers_:
            mine = columns[places]
            for step in _chain(chain):
                mine = step.get_feature_names_out(mine)
            found += [f"{name}__{each}" if self.verbose_feature_names_out else str(each) for each in mine]
        if len(set(found)) != len(found):
            raise InvalidInput("Output feature names are not unique; set verbose_feature_names_out=True")
        return np.array(found, object)

    def to_transforms(self) -> Transforms:
        """Return the fitted transformers as neutral features, in the order and with the names of the outputs.

        Raises:
            UnsupportedModel: a transformer has no neutral form; named in the message.

        """
        check_is_fitted(self)
        columns = raw_names(self)
        drafts: list[Draft] = []
        for name, chain, places in self.transformers_:
            mine = [Draft(columns[place]) for place in places]
            for step in _chain(chain):
                if not hasattr(step, "lower"):
                    raise UnsupportedModel(
                        f"ColumnTransformer, '{name}': {type(step).__module__}.{type(step).__name__} has no neutral "
                        "form; use the transformer of that name in mlcore.preprocessing where there is one"
                    )
                mine = step.lower(mine)
            drafts += mine
        return to_transforms(drafts, self.get_feature_names_out())


def _chain(given: Any) -> list[Any]:
    if isinstance(given, str):
        if given != "passthrough":
            raise InvalidInput(
                f"a transformer must be an estimator, a list or Pipeline of them, 'passthrough' or 'drop', not {given!r}"
            )
        return []
    if hasattr(given, "named_steps"):  # a scikit-learn Pipeline
        return [each for _, each in given.steps if each is not None and not _is(each, "passthrough")]
    return list(given) if isinstance(given, list | tuple) else [given]


def _is(step: Any, word: str) -> bool:
    return isinstance(step, str) and step == word


def _takes_target(step: Any) -> bool:
    return bool(step.__sklearn_tags__().target_tags.required)


def _kind_of(X: Any) -> Any:
    """Rows that hold strings stay objects; NumPy would turn their numbers into text."""
    if isinstance(X, list | tuple) and any(isinstance(v, str) for row in X for v in row):
        return object
    return None


def _places(key: Any, names: list[str] | None, count: int) -> list[int]:
    """The positions that a column selection means."""
    if isinstance(key, slice):
        if isinstance(key.start, str) or isinstance(key.stop, str):
            raise InvalidInput("a slice of column names is not supported; list the names")
        return list(range(count))[key]
    keys = [key] if isinstance(key, str | int) else np.asarray(key, object).tolist()
    if keys and all(isinstance(each, bool | np.bool_) for each in keys):
        if len(keys) != count:
            raise InvalidInput(f"a mask of {len(keys)} columns was given for {count}")
        return [int(place) for place in np.flatnonzero(keys)]
    return [_place(each, names, count) for each in keys]


def _place(key: Any, names: list[str] | None, count: int) -> int:
    if isinstance(key, str):
        if names is None:
            raise InvalidInput("Specifying the columns using strings is only supported for dataframes.")
        if key not in names:
            raise InvalidInput(f"A given column is not a column of the dataframe: '{key}'")
        return names.index(key)
    if not -count <= key < count:
        raise InvalidInput(f"column {key} is out of range: there are {count} columns")
    return int(key) % count


def _select(X: Any, places: Sequence[int]) -> Any:
    if hasattr(X, "iloc"):
        return X.iloc[:, places]
    return X[:, places] if isinstance(X, np.ndarray) else X.select(places)


def _dense(block: Any) -> Array:
    if hasattr(block, "toarray"):
        return np.asarray(block.toarray())
    if isinstance(block, np.ndarray) and block.dtype.kind in "biuf":
        return np.asarray(block, np.float64)
    if isinstance(block, np.ndarray):
        return block
    columns = [_values(values) for values in read_columns(BaseEstimator(), block, reset=True)]
    return np.column_stack(columns)


def _values(values: Any) -> Array:
    return values.objects() if isinstance(values, Strings) else np.asarray(values, np.float64)


def _side_by_side(blocks: Sequence[Array], X: Any) -> Array:
    return np.hstack(blocks) if blocks else np.zeros((len(X), 0))
