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
    """Title, column headings and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def draw(table: Table) -> RichTable:
    """Return the table as a rich table, for printing on any console.

    Cells are literal text: model ids contain brackets that rich would read as markup.
    """
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - slow to load, and only drawing needs it
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    rich_table = RichTable(title=table.title, title_justify="left", box=SIMPLE_HEAD)
    for column in table.columns:
        rich_table.add_column(column, overflow="fold")
    for row in table.rows:
        rich_table.add_row(*(Text(cell) for cell in row))
    return rich_table


def as_text(table: Table) -> str:
    """Return the table as plain text, at most `TEXT_WIDTH` columns wide."""
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
