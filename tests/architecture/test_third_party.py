"""Each third-party library is imported in one place, and only there."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGE, Module, modules, plant
from tests.support.repository import ROOT

#: Where a library may be imported: a module, or a folder and everything in it.
PLACES: dict[str, tuple[str, ...]] = {
    # Packets are its structs, and it types the payloads of handlers. JSON is orjson's.
    "msgspec": ("protocol/", "messaging/", "adapters/messages.py", "adapters/forwarding/frames.py"),
    "orjson": ("protocol/", "adapters/codec.py"),
    "ormsgpack": ("protocol/msgpack.py",),
    "picows": ("engine/carriers/",),
    "prompt_toolkit": ("cli/prompt.py",),
    "rich": ("cli/",),
    "typer": ("cli/",),
    "uvicorn": (
        "integrations/uvicorn.py",
        "integrations/uvicorn_accept.py",
        "integrations/uvicorn_direct.py",
        "integrations/uvicorn_http.py",
        "integrations/uvicorn_site.py",
        "integrations/uvicorn_websocket.py",
        "integrations/hosting.py",
    ),
    "uvloop": ("integrations/hosting.py",),
    # Used by uvicorn, for us; what it raises says where a handshake ends.
    "httptools": ("integrations/uvicorn_http.py",),
    "httpx2": ("engine/http/client.py",),
    # Used by uvicorn, for us; no line of ours imports it.
    "websockets": (),
}

#: Used where the user has it. Nothing depends on it.
IF_THERE: dict[str, tuple[str, ...]] = {
    "asyncpg": ("adapters/postgres_line.py",),
    "brotli": ("integrations/client_files.py",),
    "nats": ("adapters/nats_link.py", "adapters/nats_bus.py"),  # the latter for types
    "redis": ("adapters/redis.py",),
}


def strangers(tree: dict[str, Module]) -> list[str]:
    """Imports of a library outside its place, or of one that has none."""
    found = []
    for module in tree.values():
        for each in module.imports():
            library = each.name.partition(".")[0]
            if library == PACKAGE or library in sys.stdlib_module_names:
                continue
            if not any(_within(module.place, place) for place in (PLACES | IF_THERE).get(library, ())):
                found.append(f"{module.place}:{each.line} imports {library}")
    return found


def _within(module: str, place: str) -> bool:
    return module.startswith(place) if place.endswith("/") else module == place


def test_libraries_stay_in_their_places() -> None:
    found = strangers(modules())
    assert not found, "\n".join(found)


def test_every_library_is_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^\w-]", each, maxsplit=1)[0] for each in project["dependencies"]}
    assert declared == PLACES.keys()


@pytest.mark.parametrize(
    ("sources", "count"),
    [
        ({"protocol/parser.py": "import orjson"}, 0),
        ({"engine/session.py": "import orjson"}, 1),
        ({"engine/session.py": "def late():\n    from picows import ws_create_server"}, 1),
        ({"http/cors.py": "from left_pad import pad"}, 1),
        ({"messaging/a.py": "import asyncio, os.path\nfrom msgspec import convert"}, 0),
        ({"integrations/hosting.py": "import uvicorn.config"}, 0),
        ({"integrations/asgi.py": "import uvicorn.config"}, 1),
        ({"cli/run.py": "import websockets"}, 1),
    ],
)
def test_a_stranger_is_found(sources: dict[str, str], count: int, tmp_path: Path) -> None:
    assert len(strangers(plant(tmp_path, sources))) == count
