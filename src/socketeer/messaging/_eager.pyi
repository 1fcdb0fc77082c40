import asyncio
from collections.abc import Coroutine
from typing import Any

def start(coroutine: Coroutine[Any, Any, Any]) -> tuple[asyncio.Task[Any] | None, Any]: ...
