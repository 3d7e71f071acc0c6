"""Conventions: what a library does with its inputs before its trees see them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from mlcore.models import Model


@dataclass(frozen=True)
class Conventions:
    """How a model's library reads what users hand to it."""

    absent: float = 0.0
    """What a sparse matrix leaves out."""
    refuses_unknown_categories: bool = False
    """A category that the model stores no code for is an error; elsewhere it is missing."""
    narrows_integers: bool = False
    """A NumPy array of integers passes through float32, whatever type the model compares in."""
    joins_names: bool = False
    """A space in a column's name stands as an underscore in the model."""
    any_categories: bool = False
    """A table's categories may be floats, compared as the numbers that they are, or booleans."""
    recodes_numbers: bool = True
    """A table's categories that are numbers are categories; elsewhere they are the numbers that they are."""
    takes_positions: bool = True
    """In a matrix, numbers stand for the positions of stored categories."""
    refuses_times: bool = False
    """A table's dates and times are an error; elsewhere they are the numbers that they are stored as."""
    sparse_missing: bool = True
    """A missing value may stand in a sparse row."""
    hashes_categories: bool = False
    """The model knows categories by the hash of their text, of numbers' decimal text too."""


_BY_SOURCE: Final = {
    "catboost": Conventions(takes_positions=False, hashes_categories=True, refuses_times=True),
    "xgboost": Conventions(absent=math.nan, refuses_unknown_categories=True, refuses_times=True),
    "lightgbm": Conventions(any_categories=True, narrows_integers=True, joins_names=True, refuses_times=True),
    "onnx": Conventions(recodes_numbers=False, takes_positions=False, refuses_times=True),
    "sklearn": Conventions(recodes_numbers=False, takes_positions=False, sparse_missing=False),
}


def of(model: Model) -> Conventions:
    """Return the conventions of the library that trained a model."""
    return _BY_SOURCE.get(model.source, Conventions())
