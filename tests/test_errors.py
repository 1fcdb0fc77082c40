from __future__ import annotations

import inspect
import pickle

import pytest

from socketeer import errors
from socketeer.errors import (
    AckTimeout,
    ConnectionRefused,
    InvalidPayload,
    OptionError,
    PacketError,
    PeerError,
    ReservedEventError,
    SocketeerError,
    UsageError,
)


def test_all_names_every_exception() -> None:
    members = inspect.getmembers(errors, inspect.isclass)
    assert set(errors.__all__) == {name for name, each in members if each.__module__ == errors.__name__}
    assert list(errors.__all__) == sorted(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_one_except_catches_them_all(name: str) -> None:
    assert issubclass(getattr(errors, name), SocketeerError)


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (UsageError, (SocketeerError,)),
        (OptionError, (UsageError, ValueError)),
        (ReservedEventError, (UsageError, ValueError)),
        (PeerError, (SocketeerError,)),
        (PacketError, (PeerError,)),
        (InvalidPayload, (PeerError,)),
        (ConnectionRefused, (SocketeerError,)),
        (AckTimeout, (SocketeerError, TimeoutError)),
    ],
)
def test_the_tree(error: type[Exception], bases: tuple[type[Exception], ...]) -> None:
    assert error.__bases__ == bases
    assert f" {error.__name__} " in (errors.__doc__ or ""), "the tree is drawn in the module's docstring"


def test_connection_refused_has_a_message_and_data() -> None:
    error = ConnectionRefused("not authorized", data={"retry": 5})
    assert (str(error), error.message, error.data) == ("not authorized", "not authorized", {"retry": 5})


def test_connection_refused_by_default() -> None:
    error = ConnectionRefused()
    assert (error.message, error.data) == ("connection refused", None)


def test_an_ack_timeout_says_what_the_official_client_says() -> None:
    error = AckTimeout()
    assert (str(error), error.responses) == ("operation has timed out", [])


def test_an_ack_timeout_of_a_broadcast_has_the_other_answers() -> None:
    with pytest.raises(TimeoutError) as caught:
        raise AckTimeout(responses=["a", "b"])
    assert isinstance(caught.value, AckTimeout)
    assert caught.value.responses == ["a", "b"]


def test_the_responses_of_two_timeouts_are_not_shared() -> None:
    AckTimeout().responses.append("x")
    assert AckTimeout().responses == []


@pytest.mark.parametrize(
    "error", [ConnectionRefused("no", data={"a": [1]}), AckTimeout("late", responses=[1]), OptionError("x")]
)
def test_they_cross_process_borders_whole(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
