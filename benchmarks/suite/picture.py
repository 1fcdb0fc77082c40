"""The table as a picture: each work a line, each peer a dot on a scale of ratios, its goal a ring. SVG, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from benchmarks.suite.figures import Row
from benchmarks.suite.peers import Peer
from benchmarks.suite.report import quantity
from benchmarks.suite.works import OURS, WORKS

WIDTH, LEFT, RIGHT, TOP, LINE = 980, 330, 40, 90, 52  # pixels
COLOURS = {
    "node": "#3c873a",
    "bun": "#d98236",
    "python-socketio": "#3572a5",
    "socketeer-picows": "#8a63d2",
    "picows": "#9a9a9a",
    "epoll": "#5f6b7a",
}
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.small { font-size: 11px; fill: #59636e }
.grid { stroke: #d1d9e0 }
.one { stroke: #1f2328; stroke-width: 2 }
.back { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .small { fill: #9198a1 } .grid { stroke: #3d444d } .one { stroke: #f0f6fc }
  .back { fill: #0d1117 }
}
"""


def svg(rows: Sequence[Row], peers: dict[str, Peer]) -> str:
    """The rows of the table that have a ratio; the others are not shown."""
    shown = [row for row in rows if WORKS[row.work].family == "table" and row.ratio]
    works = list(dict.fromkeys(row.work for row in shown))
    names = [name for name in peers if name in {row.peer for row in shown}]
    ours = {row.work: row for row in rows if row.peer == OURS}
    scale = _Scale([value for row in shown for value in (row.ratio_low, row.ratio_high, row.goal) if value])
    height = TOP + LINE * len(works) + 40
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-label="CPU time of other servers in relation to Socketeer">'
        ),
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        '<text class="title" x="16" y="28">CPU time and memory of other servers, in relation to Socketeer</text>',
        (
            '<text class="small" x="16" y="46">Right of 1: Socketeer is cheaper. Lines: the lowest and highest round. '
            "Rings: the goals.</text>"
        ),
        *_legend(names, peers),
        *scale.grid(TOP - 8, height - 36),
    ]
    for index, work in enumerate(works):
        middle = TOP + LINE * index + LINE // 2
        parts.append(f'<text x="16" y="{middle - 2}">{escape(WORKS[work].title)}</text>')
        if work in ours:
            parts.append(
                f'<text class="small" x="16" y="{middle + 14}">Socketeer: {quantity(ours[work])}</text>'
            )
        if index:
            parts.append(
                f'<line class="grid" x1="16" x2="{WIDTH - 16}" y1="{middle - LINE // 2}" y2="{middle - LINE // 2}"/>'
            )
        for row in shown:
            if row.work == work:  # each peer at its own height
                offset = (names.index(row.peer) - (len(names) - 1) / 2) * (LINE - 12) / len(names)
                parts += _dot(row, peers[row.peer].title, scale, middle + offset)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(names: Sequence[str], peers: dict[str, Peer]) -> list[str]:
    parts, x = [], 16
    for name in names:
        title = peers[name].title
        parts.append(f'<circle cx="{x + 5}" cy="64" r="5" fill="{_colour(name)}"/>')
        parts.append(f'<text x="{x + 15}" y="68">{escape(title)}</text>')
        x += 40 + round(6.7 * len(title))
    return parts


def _dot(row: Row, title: str, scale: _Scale, y: float) -> list[str]:
    assert row.ratio is not None
    assert row.ratio_low is not None
    assert row.ratio_high is not None
    colour = _colour(row.peer)
    parts = [
        (
            f'<line x1="{scale(row.ratio_low):.1f}" x2="{scale(row.ratio_high):.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{colour}" stroke-width="2"/>'
        ),
        (
            f'<circle cx="{scale(row.ratio):.1f}" cy="{y:.1f}" r="4.5" fill="{colour}">'
            f"<title>{escape(title)}: {row.ratio:.2f}</title></circle>"
        ),
    ]
    if row.goal:
        parts.append(
            f'<circle cx="{scale(row.goal):.1f}" cy="{y:.1f}" r="5.5" fill="none" stroke="{colour}" '
            f'stroke-width="1.5"><title>{escape(title)}, goal: {row.goal:g}</title></circle>'
        )
    return parts


def _colour(peer: str) -> str:
    return COLOURS.get(peer, "#b0508a")


class _Scale:
    """Ratios to pixels, by their logarithm."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min([*values, 0.5]), max([*values, 2.0])
        self._low = floor(log10(low) * 4) / 4
        self._high = ceil(log10(high) * 4) / 4

    def __call__(self, value: float) -> float:
        share = (log10(value) - self._low) / (self._high - self._low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def grid(self, top: float, bottom: float) -> list[str]:
        parts = []
        for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500):
            if not 10**self._low <= tick <= 10**self._high:
                continue
            x = self(tick)
            kind = "one" if tick == 1 else "grid"
            parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
            parts.append(
                f'<text class="small" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
            )
        return parts
