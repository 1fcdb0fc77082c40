"""Imports go down only, and nothing goes round in a circle; ARCHITECTURE.md draws it as it is."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.architecture.tree import FLOORS, PACKAGE, ROOF, SOURCE, Module, internal_imports, modules, plant
from tests.support.repository import ROOT

MAP = ROOT / "ARCHITECTURE.md"


def floor(module: Module) -> int:
    """A room that has no floor yet counts as the roof."""
    return FLOORS.get(module.room, ROOF)


def climbing_imports(tree: dict[str, Module]) -> list[str]:
    """Imports of a room on the same floor or above."""
    return [
        f"{module.place}:{line} (floor {floor(module)}) imports {target.place} (floor {floor(target)})"
        for module in tree.values()
        for target, line in internal_imports(module, tree)
        if target.room != module.room and floor(target) not in {0, *range(floor(module))}
    ]


def circle(tree: dict[str, Module]) -> list[str]:
    """The modules of one circle of imports, if there is any."""
    graph = {
        module.place: {target.place for target, _ in internal_imports(module, tree)}
        for module in tree.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


class FloorMap:
    """The map in ARCHITECTURE.md: places with their descriptions, and the floors written on it."""

    _LINE = re.compile(
        r"(?P<indent> *)(?P<name>\S+)(?: +(?:floor (?P<floor>\d)|(?P<roof>roof)))?(?: +(?P<text>.*))?"
    )

    def __init__(self, text: str) -> None:
        blocks = re.findall(rf"^```\w*\nsrc/{PACKAGE}/\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        assert len(blocks) == 1, f"expected one fenced block that begins with src/{PACKAGE}/"
        self.places: dict[str, str] = {}
        self.floors: dict[str, int] = {}
        folders: list[str] = []
        for line in blocks[0].splitlines():
            found = self._LINE.fullmatch(line)
            assert found is not None, f"a line of the map that says nothing: {line!r}"
            depth, odd = divmod(len(found["indent"]), 2)
            assert not odd, f"two spaces per folder: {line!r}"
            assert depth in range(1, len(folders) + 2), f"in no folder: {line!r}"
            del folders[depth - 1 :]
            place = "".join(folders) + found["name"]
            assert place not in self.places, f"{place} stands on the map twice"
            self.places[place] = found["text"] or ""
            if depth == 1 and (found["floor"] or found["roof"]):
                self.floors[place.rstrip("/").removesuffix(".py")] = int(found["floor"] or ROOF)
            if place.endswith("/"):
                folders.append(found["name"])


def lies(drawn: FloorMap, tree: dict[str, Module], root: Path) -> list[str]:
    """Where the map and the tree differ."""
    places = {module.place: module for module in tree.values()}
    found = [
        f"{place} is on the map and not in the tree" for place in drawn.places if not (root / place).exists()
    ]
    for place, module in places.items():
        # A folder's line speaks for its __init__.py.
        if place not in drawn.places and not place.endswith("/__init__.py"):
            summary = (module.docstring or "").partition("\n")[0]
            found.append(f"{place} is not on the map; it says of itself: {summary}")
    folders = {f"{parent.as_posix()}/" for place in places for parent in Path(place).parents} - {"./"}
    found += [f"{place} is not on the map" for place in sorted(folders - drawn.places.keys())]
    found += [f"{place} has no description on the map" for place, text in drawn.places.items() if not text]
    for room in sorted({module.room for module in tree.values()}):
        if drawn.floors.get(room) != FLOORS.get(room):
            found.append(f"{room} is on floor {FLOORS.get(room)}, the map says {drawn.floors.get(room)}")
    return found


def test_every_room_has_a_floor() -> None:
    homeless = {module.room for module in modules().values()} - FLOORS.keys()
    assert not homeless, "add it to FLOORS in tests/architecture/tree.py and to ARCHITECTURE.md"


def test_imports_go_down_only() -> None:
    found = climbing_imports(modules())
    assert not found, "\n".join(found)


def test_no_circles() -> None:
    found = circle(modules())
    assert not found, " imports ".join(found)


def test_the_map_is_true() -> None:
    found = lies(FloorMap(MAP.read_text(encoding="utf-8")), modules(), SOURCE)
    assert not found, "\n".join(["ARCHITECTURE.md does not draw the tree as it is:", *found])


# The rules themselves, on small trees that break them.


@pytest.mark.parametrize(
    "source",
    [
        "import socketeer.server.adapter",
        "from socketeer.server import adapter",
        "from socketeer.server.adapter import Adapter",
        "from ..server import adapter",
        "from ..server.adapter import *",
        "if TYPE_CHECKING:\n    from socketeer.server.adapter import Adapter",
        "def late():\n    from socketeer.server.adapter import Adapter",
        "import importlib\nimportlib.import_module('socketeer.server.adapter')",
        "from importlib import import_module\nimport_module('..server.adapter', __package__)",
    ],
)
def test_an_import_that_climbs_is_found(source: str, tmp_path: Path) -> None:
    tree = plant(tmp_path, {"server/adapter.py": "", "engine/session.py": source})
    assert len(climbing_imports(tree)) == 1


@pytest.mark.parametrize(
    ("room", "other"),
    [("server", "client"), ("client", "server"), ("admin", "metrics"), ("errors", "protocol")],
)
def test_neighbours_do_not_see_each_other(room: str, other: str, tmp_path: Path) -> None:
    tree = plant(tmp_path, {f"{room}/a.py": f"from socketeer.{other} import b", f"{other}/b.py": ""})
    assert len(climbing_imports(tree)) == 1


def test_nobody_imports_the_roof(tmp_path: Path) -> None:
    tree = plant(tmp_path, {"__init__.py": "", "cli/run.py": "from socketeer import Server"})
    assert len(climbing_imports(tree)) == 1


def test_down_and_within_a_room_is_fine(tmp_path: Path) -> None:
    tree = plant(
        tmp_path,
        {
            "errors.py": "",
            "options.py": "from socketeer.errors import E",
            "protocol/frame.py": "from socketeer import errors",
            "engine/a.py": "from socketeer.engine.b import B\nfrom socketeer.protocol import frame",
            "engine/b.py": "import socketeer.options",
        },
    )
    assert climbing_imports(tree) == []
    assert circle(tree) == []


def test_a_circle_is_found_even_among_types(tmp_path: Path) -> None:
    tree = plant(
        tmp_path,
        {
            "engine/a.py": "from socketeer.engine import b",
            "engine/b.py": "from socketeer.engine.c import C",
            "engine/c.py": "if TYPE_CHECKING:\n    from socketeer.engine import a",
        },
    )
    assert set(circle(tree)) == {"engine/a.py", "engine/b.py", "engine/c.py"}


GOOD_MAP = "```text\nsrc/socketeer/\n  errors.py  floor 0  whose fault\n  engine/    floor 2  sessions\n    a.py     one session\n```\n"


@pytest.mark.parametrize(
    ("drawn", "lie"),
    [
        (GOOD_MAP, None),
        (GOOD_MAP.replace("    a.py     one session\n", ""), "not on the map"),
        (GOOD_MAP.replace("a.py ", "b.py "), "not in the tree"),
        (GOOD_MAP.replace("floor 2", "floor 3"), "engine is on floor 2"),
        (GOOD_MAP.replace("floor 0  ", ""), "errors is on floor 0"),
        (GOOD_MAP.replace("one session", ""), "no description"),
    ],
)
def test_a_map_that_lies_is_found(drawn: str, lie: str | None, tmp_path: Path) -> None:
    tree = plant(tmp_path, {"errors.py": "", "engine/a.py": "", "engine/__init__.py": ""})
    found = lies(FloorMap(drawn), tree, tmp_path)
    assert any(lie in each for each in found) if lie else found == []
