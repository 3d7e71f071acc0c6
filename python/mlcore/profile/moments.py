"""Moments: count, mean and central sums to the fourth, merged pairwise (Chan, Golub, LeVeque 1983; Pébay 2008)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

SPAN: Final = 65_536  # values summed at a time; the spans of a batch fold in order


@dataclass(frozen=True)
class Moments:
    """Of finite values: m2 is the sum of squared deviations from the mean, m3 of cubed, m4 of fourth powers."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    m3: float = 0.0
    m4: float = 0.0

    @staticmethod
    def of(values: np.ndarray[Any, Any]) -> Moments:
        """Return the moments of finite values."""
        total = Moments()
        for start in range(0, len(values), SPAN):
            part = values[start : start + SPAN].astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):  # sums past the largest double are inf, then NaN
                mean = float(part.mean())
                deviation = part - mean
                square = deviation * deviation
                cube = square * deviation
                found = Moments(len(part), mean, float(square.sum()), float(cube.sum()), float((square * square).sum()))
            total = total.merge(found)
        return total

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of values."""
        if not (self.n and other.n):
            return other if other.n else self
        with np.errstate(over="ignore", invalid="ignore"):
            return self._merged(other)

    def _merged(self, other: Moments) -> Moments:
        a, b = float(self.n), float(other.n)
        n = a + b
        delta = np.float64(other.mean) - self.mean  # NumPy's: overflows to inf where Python's raises
        step = delta / n
        m2 = self.m2 + other.m2 + delta * step * a * b
        m3 = self.m3 + other.m3 + delta * step * step * a * b * (a - b) + 3 * step * (a * other.m2 - b * self.m2)
        m4 = (
            self.m4
            + other.m4
            + delta * step**3 * a * b * (a * a - a * b + b * b)
            + 6 * step * step * (a * a * other.m2 + b * b * self.m2)
            + 4 * step * (a * other.m3 - b * self.m3)
        )
        return Moments(self.n + other.n, float(self.mean + b * step), float(m2), float(m3), float(m4))

    @property
    def variance(self) -> float:
        """The population variance (ddof 0); NaN without values."""
        return self.m2 / self.n if self.n else float("nan")
