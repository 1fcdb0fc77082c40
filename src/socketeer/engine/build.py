"""What was built where Socketeer was installed, told to people by ``socketeer --version``."""

from __future__ import annotations

from typing import Final

from socketeer.engine import session
from socketeer.engine.carriers import choice

#: Whether the modules of the hot path, those with a ``.pxd`` beside them, are compiled. All of them are, or none.
COMPILED: Final = not session.__file__.endswith(".py")


def describe() -> str:
    """The carrier in use, and which extensions there are."""
    return f"{choice.describe()}, hot path {'compiled' if COMPILED else 'interpreted'}"
