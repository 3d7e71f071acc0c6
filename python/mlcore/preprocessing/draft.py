"""Draft: a raw column on its way to a feature, while fitted transformers are lowered one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlcore.errors import UnsupportedModel
from mlcore.preprocessing.steps import Indicator, Lookup, Match, Step, fill_missing


@dataclass(frozen=True)
class Draft:
    """A raw column and the steps so far; `fill` stands for missing strings until a category step comes."""

    column: str
    steps: tuple[Step, ...] = ()
    fill: str | None = None

    def then(self, step: Step) -> Draft:
        """Return the draft with one more number step."""
        return replace(self, steps=(*self.steps, step))

    def coded(self, step: Lookup | Indicator | Match) -> Draft:
        """Return the draft with its category step.

        Raises:
            UnsupportedModel: the values are numbers by now.

        """
        if self.steps:
            raise UnsupportedModel(
                f"column '{self.column}': encoding categories of a transformed number is not lowered"
            )
        return Draft(self.column, (step if isinstance(step, Match) else fill_missing(step, self.fill),))
