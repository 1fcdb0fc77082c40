"""The source tree as its imports draw it, and the floor of each room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.repository import ROOT

PACKAGE = "socketeer"
SOURCE = ROOT / "src" / PACKAGE

ROOF = 8

#: The floor of everything that stands directly in src/socketeer, planned rooms included.
#: Imports go down only. Rooms of one floor do not see each other; floor 0 is for all.
FLOORS = {
    "_version": 0,
    "errors": 0,
    "checks": 0,
    "options": 0,
    "web_options": 0,
    "client_options": 0,
    "protocol": 1,
    "engine": 2,
    "messaging": 3,
    "server": 4,
    "client": 4,
    "adapters": 5,
    "integrations": 6,
    "admin": 6,
    "metrics": 6,
    "testing": 6,
    "cli": 7,
    "__main__": ROOF,
    "__init__": ROOF,
}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name, in full: ``socketeer.errors.PacketError`` or ``asyncio``."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Module:
    """One source file."""

    name: str
    """As it is imported: ``socketeer.engine.http.cors``; a package stands for its ``__init__``."""
    path: Path
    root: Path
    """The folder of the whole package."""

    @property
    def place(self) -> str:
        """The path below the package's folder, as people write it: ``engine/http/cors.py``."""
        return self.path.relative_to(self.root).as_posix()

    @property
    def room(self) -> str:
        """What stands directly below the package's folder: ``engine``, ``errors``, ``__init__``."""
        return self.place.partition("/")[0].removesuffix(".py")

    @property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def lines(self) -> int:
        return len(self.source.splitlines())

    @property
    def docstring(self) -> str | None:
        return ast.get_docstring(ast.parse(self.source))

    def imports(self) -> Iterator[Import]:
        """Every import, wherever it stands: under TYPE_CHECKING, in a function, by importlib."""
        for node in ast.walk(ast.parse(self.source, filename=str(self.path))):
            match node:
                case ast.Import(names=names):
                    for alias in names:
                        yield Import(alias.name, node.lineno)
                case ast.ImportFrom(module=module, names=names, level=level):
                    base = self._absolute(module or "", level)
                    for alias in names:
                        yield Import(base if alias.name == "*" else f"{base}.{alias.name}", node.lineno)
                case ast.Call(
                    func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    level = len(name) - len(name.lstrip("."))
                    yield Import(self._absolute(name.lstrip("."), level), node.lineno)

    def _absolute(self, name: str, level: int) -> str:
        if level == 0:
            return name
        here = self.name.split(".")
        if self.path.name != "__init__.py":
            here.pop()
        return ".".join([*here[: len(here) - level + 1], *filter(None, [name])])


def modules(root: Path = SOURCE) -> dict[str, Module]:
    """Every module below a package's folder, by its name."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = [PACKAGE, *path.relative_to(root).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        name = ".".join(parts)
        found[name] = Module(name, path, root)
    return found


def internal_imports(module: Module, tree: dict[str, Module]) -> Iterator[tuple[Module, int]]:
    """What a module imports from its own package, and on which line.

    ``from socketeer.engine import session`` is an import of the module ``engine/session.py``; of
    ``engine/__init__.py`` only where ``session`` is a name that stands in it.
    """
    for each in module.imports():
        name = each.name
        while name and name not in tree:
            name = name.rpartition(".")[0]
        if name and tree[name] is not module:
            yield tree[name], each.line


def plant(root: Path, sources: dict[str, str]) -> dict[str, Module]:
    """A small tree of one's own, for the tests that show that a rule can be broken."""
    for place, source in sources.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return modules(root)
