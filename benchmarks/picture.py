"""Bar charts as SVG, in colours that can be read on a light and on a dark page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["bars"]

WIDTH, ROW, GAP = 760, 24, 44
LABELS, NUMBERS = 210, 80
"""The widths of the columns left and right of the bars."""
GREY, BLUE, TEXT = "#9aa5b1", "#2f6fde", "#7a8794"


def bars(charts: Mapping[str, Mapping[str, float]], highlighted: AbstractSet[str]) -> str:
    """Return one chart below the other: for each, a title and the values by name."""
    y = 0
    shapes: list[str] = []
    for title, values in charts.items():
        y += GAP
        shapes.append(f'<text x="0" y="{y - 14}" font-weight="600">{escape(title)}</text>')
        for name, value in values.items():
            shapes += _bar(
                y, name, value, max(values.values()), BLUE if name in highlighted else GREY
            )
            y += ROW
    style = f"font: 13px system-ui, sans-serif; fill: {TEXT}"
    size = f'viewBox="0 0 {WIDTH} {y + 8}" width="{WIDTH}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><g style="{style}">'
    return "\n".join([head, *shapes, "</g></svg>\n"])


def _bar(y: int, name: str, value: float, longest: float, colour: str) -> list[str]:
    """Return a row: the name, a bar, and the value."""
    length = (WIDTH - LABELS - NUMBERS) * value / longest
    baseline = y + ROW // 2 + 4
    name_x = LABELS - 10
    size = f'width="{length:.1f}" height="{ROW - 8}"'
    return [
        f'<text x="{name_x}" y="{baseline}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{LABELS}" y="{y + 4}" {size} fill="{colour}"/>',
        f'<text x="{LABELS + length + 8:.1f}" y="{baseline}">{value:,.0f}</text>',
    ]
