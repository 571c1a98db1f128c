"""A table as text and as HTML, drawn by rich."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table as RichTable

__all__ = ["Table", "as_html", "as_text", "draw"]

TEXT_WIDTH = 120


class Table(NamedTuple):
    """Title, column heads and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def draw(table: Table) -> RichTable:
    """Return the rich table, to be printed on a console of the caller's.

    Cells are taken literally: model ids hold brackets that rich would read as markup.
    """
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - rich is slow to load and only drawing needs it
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = RichTable(title=table.title, title_justify="left", box=SIMPLE_HEAD)
    for column in table.columns:
        drawn.add_column(column, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    return drawn


def as_text(table: Table) -> str:
    """Return the table as plain text, `TEXT_WIDTH` columns wide at the most."""
    console = _console()
    console.print(draw(table))
    return console.export_text().rstrip("\n")


def as_html(table: Table) -> str:
    """Return the table as one self-contained HTML element."""
    console = _console()
    console.print(draw(table))
    return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def _console() -> Console:
    from rich.console import Console  # noqa: PLC0415

    return Console(file=StringIO(), width=TEXT_WIDTH, record=True, color_system=None)
