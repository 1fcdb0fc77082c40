"""What every option is checked by: the message names the option, what was expected, and what came."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from socketeer.errors import OptionError


def positive(name: str, value: float) -> None:
    """Refuse what is no number above 0.

    Raises:
        OptionError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise OptionError(f"{name}: expected a number above 0, got {value!r}")


def whole(name: str, value: int, least: float = -math.inf, most: float = math.inf) -> None:
    """Refuse what is no whole number in its range.

    Raises:
        OptionError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        wanted = "a whole number"
        if most < math.inf:
            wanted += f" from {least} to {most}"
        elif least > -math.inf:
            wanted += f", {least} or more"
        raise OptionError(f"{name}: expected {wanted}, got {value!r}")


def group(kind: type[Any], name: str, value: Any) -> Any:
    """An option group from a group, a mapping of its fields, True (its defaults) or None or False (off).

    Raises:
        OptionError: it is none of these.
        TypeError: the group has no such field.
    """
    if value is None or value is False:
        return None
    if value is True:
        return kind()
    if isinstance(value, kind):
        return value
    if isinstance(value, Mapping):
        try:
            return kind(**value)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
    raise OptionError(f"{name}: expected {kind.__name__}(...), a mapping, True or None, got {value!r}")
