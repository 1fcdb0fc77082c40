"""The examples of the page on NATS are what nodes take and send."""

from __future__ import annotations

import json
import re

import pytest

from socketeer.adapters.codec import decode, encode
from socketeer.adapters.durable import parse_session
from socketeer.adapters.messages import Kind, parse
from socketeer.adapters.nats_bus import token
from tests.support.repository import ROOT

PAGE = (ROOT / "docs" / "reference" / "nats-format.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    found = re.findall(rf"^```{kind}\n(.+?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found


@pytest.mark.parametrize("example", blocks("json"))
def test_messages(example: str) -> None:
    assert encode(parse(decode(example.encode())).plain()).decode() == example


@pytest.mark.parametrize("example", blocks("json session"))
def test_sessions(example: str) -> None:
    value = json.loads(example)
    assert parse_session(value, value["pid"]).sid == value["sid"]


def test_tokens() -> None:
    rows = re.findall(r"^\| `(/[^`]*)` \| `([^`]+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) > 3
    assert [token(name) for name, _ in rows] == [shown for _, shown in rows]


def test_every_type_is_there() -> None:
    rows = re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)
    assert [int(each) for each in rows] == list(Kind)
