"""The seam: everything that stands on either side of it has the methods that it names, called in the same way."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from socketeer.engine.carriers.asgi import AsgiCarrier
from socketeer.engine.carriers.base import Carrier, Deaf, Receiver
from socketeer.engine.carriers.lane import BUILT
from socketeer.engine.carriers.picows import PicowsCarrier
from socketeer.engine.session import Session
from socketeer.engine.transports.websocket import Probe
from tests.engine.carriers.line import Audience
from tests.engine.fakes import FakeCarrier

#: A type checker reads these lines: each class on the right is what the name on the left asks for.
CARRIERS: tuple[type[Carrier], ...] = (AsgiCarrier, PicowsCarrier, FakeCarrier)
if BUILT or TYPE_CHECKING:
    from socketeer.engine.carriers.lane.carrier import LaneCarrier

    CARRIERS = (*CARRIERS, LaneCarrier)
RECEIVERS: tuple[type[Receiver], ...] = (Session, Probe, Audience, Deaf)


def methods(protocol: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(function)
        for name, function in vars(protocol).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }


def missing(each: type, protocol: type) -> list[str]:
    """The methods of the protocol that a class has not, or has otherwise."""
    wanted = methods(protocol)
    return [
        name
        for name, signature in wanted.items()
        if (found := getattr(each, name, None)) is None
        or list(inspect.signature(found).parameters) != list(signature.parameters)
        or inspect.iscoroutinefunction(found) != inspect.iscoroutinefunction(getattr(protocol, name))
    ]


def test_the_seam_is_small() -> None:
    assert list(methods(Carrier)) == ["send", "writable", "held", "drained", "close", "abort"]
    assert list(methods(Receiver)) == ["receive_text", "receive_binary", "carrier_lost"]
    assert list(Carrier.__annotations__) == ["receiver"]


@pytest.mark.parametrize("carrier", CARRIERS)
def test_carriers(carrier: type[Carrier]) -> None:
    assert missing(carrier, Carrier) == []


@pytest.mark.parametrize("receiver", RECEIVERS)
def test_receivers(receiver: type[Receiver]) -> None:
    assert missing(receiver, Receiver) == []


def test_a_method_that_differs_is_found() -> None:
    class Other:
        def receive_text(self, data: bytes) -> None: ...

        async def receive_binary(self, data: bytes) -> None: ...

        def carrier_lost(self, reason: str) -> None: ...

    assert missing(Other, Receiver) == ["receive_binary", "carrier_lost"]
