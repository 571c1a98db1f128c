"""Tables are drawn as text and HTML, cells taken literally."""

from __future__ import annotations

import html
import re

from inference_providers.tables import TEXT_WIDTH, Table, as_html, as_text

TABLE = Table("A title", ("one", "two"), [("x", "[red]y[/red]"), ("<i>", "&amp;")])


def test_a_table_as_text_has_title_heads_and_rows_in_order() -> None:
    lines = [line.split() for line in as_text(TABLE).splitlines() if line.strip(" ─")]
    assert lines == [["A", "title"], ["one", "two"], ["x", "[red]y[/red]"], ["<i>", "&amp;"]]


def test_a_table_as_html_is_escaped() -> None:
    drawn = as_html(TABLE)
    assert "<i>" not in drawn
    plain = html.unescape(re.sub(r"<[^>]+>", "", drawn))
    assert "[red]y[/red]" in plain
    assert "<i>" in plain
    assert "&amp;" in plain


def test_long_cells_are_folded_and_lose_nothing() -> None:
    cell = "abcdefghij" * 40
    text = as_text(Table("t", ("one", "two"), [(cell, cell)]))
    assert max(map(len, text.splitlines())) <= TEXT_WIDTH
    assert sum(text.count(letter) for letter in "abcdefghij") >= 2 * len(cell)


def test_a_table_without_rows_still_has_its_heads() -> None:
    assert "one" in as_text(Table("t", ("one",), []))


def test_nothing_is_drawn_in_colour() -> None:
    assert "\x1b" not in as_text(TABLE)
