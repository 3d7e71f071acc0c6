"""Printing: tables and lines for people, one JSON document for programs; nothing that the terminal cannot show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@cache
def console() -> Console:
    """Return the console of standard output; colours only on a terminal, and not with NO_COLOR."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # the command line ends quietly on it; rich itself would exit with 1

    found = Piped(highlight=False, soft_wrap=True)
    if not found.is_terminal:
        found.width = 1000  # a file or a pipe has no edge to cut lines at
    return found


def as_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=1, default=str))


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print rows under column names; those in `right` are set to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:  # a terminal too narrow folds the last, which holds the prose
        made.add_column(
            name, justify="right" if name in right else "left", no_wrap=name != columns[-1], overflow="fold"
        )
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console().print(made)


def line(text: str, style: str = "") -> None:
    """Print one line, as it is."""
    from rich.text import Text

    console().print(Text(text, style=style))
