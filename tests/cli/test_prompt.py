"""What Tab completes; the prompt itself is tested in a pseudo-terminal by test_connect.py."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from socketeer.cli.prompt import Words


@dataclass
class Known:
    names: list[str] = field(default_factory=lambda: ["old", "chat message", "chat", "evil\x1b[2J", "/slash"])
    namespaces: list[str] = field(default_factory=lambda: ["/", "/chat"])
    nsp: str = "/"

    def state(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("ol", ["old"]),
        ("old", []),
        ("cha", ["chat", '"chat message"']),
        ('"cha', ["chat", '"chat message"']),
        ("chat m", ['"chat message"']),
        ("ev", [r'"evil\u001b[2J"']),
        ("/disc", ["/disconnect"]),
        ("/of ", ["/of /", "/of /chat"]),
        ("/ack cha", ["/ack chat", '/ack "chat message"']),
        ('/wait "cha', ["/wait chat", '/wait "chat message"']),
        ("/show ", []),
        ('"/sl', ['"/slash"']),
        ("old 1", []),
    ],
)
def test_completions(typed: str, completed: list[str]) -> None:
    found = list(Words(Known()).get_completions(Document(typed), CompleteEvent()))
    assert [each.text for each in found] == completed
    assert all(each.start_position == -len(typed) for each in found)
    assert all(each.text.isprintable() for each in found)
