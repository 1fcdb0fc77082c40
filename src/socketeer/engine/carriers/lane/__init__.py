"""The native lane: WebSockets on plain TCP under Linux, read and written in batches without the interpreter.

It is an optional extension: :data:`BUILT` says whether it is there. ``carrier.py`` can only be
imported where it is.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

#: Whether the extension was built when Socketeer was installed.
BUILT: Final = find_spec("socketeer.engine.carriers.lane._lane") is not None
