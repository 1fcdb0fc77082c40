"""Nothing that comes from outside is ever run: the source has no way to turn bytes into code or objects of any class."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.tree import SOURCE

#: Modules that read objects of any class, or code.
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "copyreg", "code", "codeop"}

#: Built-ins that run text.
CALLS = {"eval", "exec", "compile", "__import__"}


def dangers(text: str) -> list[str]:
    """Each use of these, with its line."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            found.append(f"{node.lineno}: {node.func.id}()")
            continue
        else:
            continue
        found += [f"{node.lineno}: {name}" for name in names if name.partition(".")[0] in MODULES]
    return found


def test_nothing_is_unpickled_or_run() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{danger}"
        for path in sorted(Path(SOURCE).rglob("*.py"))
        for danger in dangers(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from marshal import loads",
        "import shelve as s",
        "eval('1')",
        "exec(x)",
        "import pickle.x",
    ],
)
def test_each_of_them_is_found(text: str) -> None:
    assert dangers(f"x = 1\n{text}") != []


def test_a_method_of_that_name_is_none() -> None:
    assert dangers("import re\nre.compile('x')\nredis.eval('x')") == []
