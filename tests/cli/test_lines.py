"""Lines on standard input, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import command
from tests.support.repository import ROOT

READ = """
import asyncio
from socketeer.cli.lines import lines

async def main():
    async for line in lines():
        print(ascii(line), flush=True)
        if line == "enough":
            return

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"one", ["'one'"]),
        (b"one\n\ntwo\n", ["'one'", "''", "'two'"]),
        ("Tréville\n".encode(), [r"'Tr\xe9ville'"]),
        (b"\xff\n", [r"'\ufffd'"]),
        (b"x" * 200_000 + b"\ny", [f"'{'x' * 200_000}'", "'y'"]),
    ],
)
def test_lines_of_a_pipe_and_of_a_file(data: bytes, found: list[str], tmp_path: Path) -> None:
    piped = subprocess.run(
        [sys.executable, "-c", READ], input=data, capture_output=True, cwd=ROOT, timeout=30, check=True
    )
    assert piped.stdout.decode().splitlines() == found
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file, command("-c", READ, stdin=file.fileno()) as process:
        assert process.wait() == 0
        assert process.out == found


def test_lines_come_one_by_one_and_one_may_stop_early() -> None:
    reading, writing = os.pipe()
    with command("-c", READ, stdin=reading) as process:
        os.close(reading)
        os.write(writing, b"first\nsec")
        process.wait_for("'first'")
        os.write(writing, b"ond\nenough\n")
        process.wait_for("'second'")
        assert process.wait() == 0, "a thread that waits for more does not hold the process"
        assert process.err == []
    os.close(writing)
