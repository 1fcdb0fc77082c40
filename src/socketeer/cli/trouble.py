"""What a command says when it cannot go on."""

from __future__ import annotations


class Trouble(Exception):
    """A command cannot do what it was asked: one sentence on what is wrong, one on what to do.

    It is shown without a traceback, and the command ends with ``code``.
    """

    def __init__(self, wrong: str, advice: str = "", *, details: str = "", code: int = 1) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.advice = advice
        self.details = details
        """More lines to show first, such as the traceback of the user's own module."""
        self.code = code
