"""The public names are exactly those of ``__all__``, and each explains itself."""

from __future__ import annotations

import inspect
from types import ModuleType

import socketeer
from tests.architecture.tree import modules


def public_names(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }


def unexplained(name: str, value: object) -> list[str]:
    """The classes, functions and methods below a public name that have no docstring of their own."""
    if inspect.isclass(value):
        docstring = vars(value).get("__doc__")
    elif inspect.isroutine(value):
        docstring = value.__doc__
    else:
        return []
    # A dataclass without a docstring gets its signature for one.
    found = [name] if not docstring or docstring.startswith(f"{name}(") else []
    if inspect.isclass(value):
        for member, raw in vars(value).items():
            function = getattr(raw, "__func__", raw)
            documented = inspect.isroutine(function) or isinstance(function, property)
            if documented and not member.startswith("_") and not inspect.getdoc(getattr(value, member)):
                found.append(f"{name}.{member}")
    return found


def test_all_is_sorted() -> None:
    assert list(socketeer.__all__) == sorted(socketeer.__all__)


def test_all_names_everything_public() -> None:
    dunders = {name for name in socketeer.__all__ if name.startswith("__")}
    assert set(socketeer.__all__) - dunders == public_names(socketeer)


def test_every_public_object_has_a_docstring() -> None:
    found = [each for name in socketeer.__all__ for each in unexplained(name, getattr(socketeer, name))]
    assert not found, "\n".join(found)


def test_every_module_has_a_docstring() -> None:
    assert [module.place for module in modules().values() if not module.docstring] == []


def test_a_name_without_a_docstring_is_found() -> None:
    class Silent:
        def method(self) -> None: ...

        @property
        def value(self) -> int:
            return 1

    assert unexplained("Silent", Silent) == ["Silent", "Silent.method", "Silent.value"]
    assert unexplained("test", test_a_name_without_a_docstring_is_found) == ["test"]
    assert unexplained("modules", modules) == []
