"""Tables are html_text as text and HTML, with literal cells."""

from __future__ import annotations

import html
import re

from inference_providers.tables import TEXT_WIDTH, Table, as_html, as_text

TABLE = Table("A title", ("one", "two"), [("x", "[red]y[/red]"), ("<i>", "&amp;")])


def test_as_text_has_title_headings_and_rows_in_order() -> None:
    lines = [line.split() for line in as_text(TABLE).splitlines() if line.strip(" ─")]
    assert lines == [["A", "title"], ["one", "two"], ["x", "[red]y[/red]"], ["<i>", "&amp;"]]


def test_as_html_escapes_cells() -> None:
    html_text = as_html(TABLE)
    assert "<i>" not in html_text
    plain = html.unescape(re.sub(r"<[^>]+>", "", html_text))
    assert "[red]y[/red]" in plain
    assert "<i>" in plain
    assert "&amp;" in plain


def test_as_text_folds_long_cells_and_loses_nothing() -> None:
    cell = "abcdefghij" * 40
    text = as_text(Table("t", ("one", "two"), [(cell, cell)]))
    assert max(map(len, text.splitlines())) <= TEXT_WIDTH
    assert sum(text.count(letter) for letter in "abcdefghij") >= 2 * len(cell)


def test_as_text_has_headings_without_rows() -> None:
    assert "one" in as_text(Table("t", ("one",), []))


def test_as_text_has_no_colours() -> None:
    assert "\x1b" not in as_text(TABLE)
