"""``module:name`` to the server or application that it means, and clear words where it means neither."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn, cast

from socketeer.cli.trouble import Trouble
from socketeer.integrations.asgi import AsgiApp
from socketeer.integrations.hosting import Server

_EXPECTED = "expected a socketeer.Server or an ASGI application"


def find(target: str) -> Server | AsgiApp:
    """Import what ``module:name`` means; the current folder comes first, as for ``python -m``.

    Raises:
        Trouble: it is not written that way, cannot be imported, or is no server.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise Trouble(f"expected MODULE:NAME, such as chat:io, got {target!r}", _spelling(module_name))
    if module_name.endswith(".py") or "/" in module_name or "\\" in module_name:
        dotted = ".".join(Path(module_name.replace("\\", "/")).with_suffix("").parts)
        raise Trouble(
            f"expected a module before the colon, got the file {module_name!r}",
            f"Write it as in an import: {dotted}:{name}",
        )
    module = _import(module_name)
    found: Any = module
    try:
        for each in name.split("."):
            found = getattr(found, each)
    except AttributeError:
        raise Trouble(f"there is no {name!r} in {module_name}", _candidates(module, module_name)) from None
    if isinstance(found, Server):
        return found
    if _is_asgi(found):
        return cast(AsgiApp, found)
    raise Trouble(f"{target} is {_describe(found)}; {_EXPECTED}", _candidates(module, module_name))


def _spelling(module_name: str) -> str:
    module_name = Path(module_name).stem if module_name.endswith(".py") else module_name
    module_name = module_name.removesuffix(".io") or "chat"
    return f"If the server is the variable io in {module_name}, that is: {module_name}:io"


# --- importing ----------------------------------------------------------------------------------


def _import(name: str) -> ModuleType:
    folder = os.getcwd()  # noqa: PTH109 - sys.path holds strings
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with _nothing_runs(name):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise Trouble(
                f"there is no module {error.name!r} in {folder}, and none is installed",
                "Start the command in the folder where it is.",
            ) from None
        _failed(name, error)
    except Trouble:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the user's module lets out
        _failed(name, error)


def _failed(name: str, error: Exception) -> NoReturn:
    lines = traceback.format_exception(type(error), error, _of_the_module(error.__traceback__))
    raise Trouble(
        f"{name} cannot be imported: {type(error).__name__}: {error}", details="".join(lines)
    ) from None


def _of_the_module(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first line of the user's: ours, and that of the import system, tell nothing."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file != __file__ and "importlib" not in file:
            break
        trace = trace.tb_next
    return trace


@contextlib.contextmanager
def _nothing_runs(name: str) -> Iterator[None]:
    """A module that starts its server while it is imported would never come back from it."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise Trouble(
            f"{name} calls io.run() while it is imported, so it would start its server by itself",
            f'Put that call below `if __name__ == "__main__":`, or start it by `python -m {name}`.',
        )

    original = Server.run
    Server.run = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        Server.run = original  # type: ignore[method-assign]


# --- judging ------------------------------------------------------------------------------------


def _is_asgi(value: Any) -> bool:
    """Whether it can be called as ``await app(scope, receive, send)``; a class would only make an instance."""
    if inspect.isclass(value) or not callable(value):
        return False
    try:
        inspect.signature(value).bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True


def _describe(value: Any) -> str:
    if inspect.isclass(value):
        return f"the class {value.__name__}, not an instance of it"
    if inspect.isroutine(value):
        return f"the function {value.__name__}{_signature(value)}"
    if inspect.ismodule(value):
        return f"the module {value.__name__}"
    kind = type(value)
    described = f"of the type {kind.__qualname__} of {kind.__module__}"
    if callable(value) and _signature(value).count(",") == 1:
        described += ", called as WSGI applications are"
    return described if kind.__module__ != "builtins" else f"{value!r:.60}, of the type {kind.__name__}"


def _signature(value: Any) -> str:
    try:
        written = str(inspect.signature(value))
        return written if len(written) < 60 else "(...)"
    except (TypeError, ValueError):
        return "(...)"


def _candidates(module: ModuleType, module_name: str) -> str:
    """What of the module could have been meant."""
    servers = [name for name, value in vars(module).items() if isinstance(value, Server)]
    apps = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.isroutine(value) and _is_asgi(value)
    ]
    names = list(dict.fromkeys([*servers, *apps]))
    if not names:
        return f"Nothing in {module_name} is one. A server is made by: io = socketeer.Server()"
    return "Did you mean " + " or ".join(f"{module_name}:{name}" for name in names[:4]) + "?"
