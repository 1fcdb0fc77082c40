"""Makes the picture of `socketeer connect` that stands in the README: python -m tests.cli.picture"""

from __future__ import annotations

import io

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

from tests.support.command import port_of, socketeer
from tests.support.pseudo_terminal import PseudoTerminal, in_a_terminal
from tests.support.repository import ROOT

PICTURE = ROOT / "docs" / "images" / "terminal.svg"
COLUMNS, ROWS = 104, 15

#: Rich's own names another host for its font; this one takes what the reader has.
FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def cell_style(cell: pyte.screens.Char) -> Style:
    colour = {"brown": "yellow", "default": None}.get(cell.fg, cell.fg)
    if colour is not None and colour.startswith("bright"):
        colour = f"bright_{colour.removeprefix('bright').replace('brown', 'yellow')}"
    return Style(color=colour, bold=cell.bold, italic=cell.italics, reverse=cell.reverse)


def export(terminal: PseudoTerminal) -> str:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for y in range(ROWS):
        line = Text()
        for x in range(COLUMNS):
            cell = terminal.screen.buffer[y][x]
            line.append(cell.data, cell_style(cell))
        console.print(line, no_wrap=True, crop=True)
    svg = console.export_svg(title="socketeer connect", code_format=FORMAT, unique_id="terminal")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> None:
    with socketeer("demo", "--port", "0") as demo:
        address = f"localhost:{port_of(demo.wait_for('The chat is on'))}"
        size = {"columns": COLUMNS, "rows": ROWS}
        with (
            in_a_terminal("connect", address, **size) as one,
            in_a_terminal("connect", address, **size) as two,
        ):
            for each in (one, two):
                each.wait_for("upgraded to")
            two.type('"chat message" "Is anybody there?"\r')
            one.wait_for("Is anybody there?")
            one.type('"chat message" "One for all!" ?\r')
            one.wait_for("✓")
            two.type('"chat message" "And all for one."\r')
            one.wait_for("And all for one.")
            one.type("/ping\r")
            one.wait_for("round trip")
            one.type('"ch\t')
            one.wait_for('"chat message"', prompt=True)
            one.wait_for("last acknowledgement")
            PICTURE.write_text(export(one), encoding="utf-8")
            for each in (one, two):
                each.type("\x03")
                each.wait()


if __name__ == "__main__":
    main()
