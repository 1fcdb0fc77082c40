"""The prompt of ``socketeer connect``: line editing, history, completion, and output above it while one types.

The one place that knows prompt_toolkit.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.patch_stdout import patch_stdout

from socketeer.cli.values import escaped, name, quoted
from socketeer.cli.words import Verb

#: Seconds between two looks at what the line below the prompt says: it counts down.
_REFRESH = 0.5


class Known(Protocol):
    """What there is to complete, and to say below the prompt."""

    @property
    def names(self) -> Iterable[str]:
        """Events, the latest last."""
        ...

    @property
    def namespaces(self) -> Sequence[str]:
        """Namespaces that were talked to."""
        ...

    @property
    def nsp(self) -> str:
        """The namespace that is talked to."""
        ...

    def state(self) -> str:
        """Where the connection is."""
        ...


class Words(Completer):
    """Completes commands, events that were seen, and namespaces."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
        typed = document.text_before_cursor.lstrip()
        for candidate, found_by in self._candidates(typed):
            if found_by.startswith(typed) and candidate != typed:
                yield Completion(candidate, start_position=-len(typed))

    def _candidates(self, typed: str) -> Iterator[tuple[str, str]]:
        """Whole lines that may be meant, and what is typed to mean them."""
        command, space, _ = typed.partition(" ")
        if not typed.startswith("/"):
            yield from self._events("", quotes=typed.startswith('"'))
        elif not space:
            yield from ((line, line) for line in (f"/{verb.value}" for verb in Verb))
        elif command == f"/{Verb.OF.value}":
            lines = [f"{command} {escaped(each)}" for each in self._known.namespaces]
            yield from zip(lines, lines, strict=True)
        elif command in {f"/{Verb.ACK.value}", f"/{Verb.WAIT.value}"}:
            yield from self._events(f"{command} ", quotes=typed.startswith(f'{command} "'))

    def _events(self, before: str, *, quotes: bool) -> Iterator[tuple[str, str]]:
        """Events, the latest first. They are found with their quotes and without."""
        for event in reversed(list(self._known.names)):
            yield before + name(event), before + (quoted(event) if quotes else escaped(event))


class Prompt:
    """A prompt at the terminal, and what is printed above it.

    For the console of a screen it is a file to write to.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._input = create_input()
        self._session: PromptSession[str] = PromptSession(
            lambda: FormattedText([("bold", f"{known.nsp}> ")]),
            history=InMemoryHistory(),
            completer=Words(known),
            complete_while_typing=False,
            bottom_toolbar=lambda: FormattedText([("", f" {known.nsp}  {known.state()}  /help")]),
            refresh_interval=_REFRESH,
            input=self._input,
        )

    async def lines(self) -> AsyncGenerator[str, None]:
        """Each line that is typed, until Ctrl-D or Ctrl-C."""
        # Raw also between two prompts: a Ctrl-D that the terminal itself takes would be lost.
        with self._input.raw_mode(), patch_stdout(raw=True):
            while True:
                try:
                    yield await self._session.prompt_async()
                except (EOFError, KeyboardInterrupt):
                    return

    def write(self, text: str) -> int:
        """Print above the prompt, which is drawn again below with what has been typed."""
        app, output = self._session.app, self._session.app.output
        if app.is_running:
            app.renderer.erase()
        output.write_raw(text)
        output.flush()
        if app.is_running:
            app.renderer.reset()
            app.renderer.request_absolute_cursor_position()
            app.invalidate()
        return len(text)

    def flush(self) -> None:
        """Everything is written at once."""

    def isatty(self) -> bool:
        """It is: there is no prompt without a terminal."""
        return True
