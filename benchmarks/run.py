"""Run the benchmarks, all or some, and write their results: python benchmarks/run.py [score isas explain …]."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

NAMES = ("score", "isas", "explain", "binning", "compile", "batch", "startup", "ops")


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], default=list(NAMES))
    parser.add_argument("--rows", type=int, help="about so many flights (default: all)")
    parser.add_argument("--repeats", type=int, help="rounds (default: each benchmark's own)")
    parser.add_argument("--results", type=Path, help="where results go (default: benchmarks/results)")
    parser.add_argument("--points", action="append", help="score: the points whose name holds this; may be repeated")
    options = parser.parse_args()
    given = {"rows": options.rows, "repeats": options.repeats, "results": options.results}
    for name in options.names or NAMES:
        of_score = {"points": options.points} if name == "score" else {}
        words = {key: value for key, value in {**given, **of_score}.items() if value is not None}
        importlib.import_module(name).main(**words)


if __name__ == "__main__":
    main()
