"""The table of attachments, in the real PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from socketeer.adapters.postgres_line import Line, plan
from socketeer.adapters.postgres_table import Attachments
from socketeer.errors import OptionError
from tests.adapters.postgres_nodes import database, query


class Table:
    def __init__(self, name: str, line: Line) -> None:
        self.name, self.line = name, line
        self.attachments = Attachments(name, 30.0)

    async def insert(self, *payloads: bytes | None) -> list[int]:
        rows = await self.line.fetch(
            f"INSERT INTO {self.name} (payload) SELECT unnest($1::bytea[]) RETURNING id", payloads
        )
        return [row[0] for row in rows]


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line(await plan(database())[1](), lambda: None)
    yield line
    await line.end()
    line.cut()


@pytest.fixture
async def table(line: Line) -> AsyncIterator[Table]:
    table = Table(f"test_{secrets.token_hex(8)}", line)
    await table.attachments.make(line)
    yield table
    await query(f"DROP TABLE IF EXISTS {table.name}")


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a;DROP TABLE b", "a.b.c", '"a', 'a"b', "a'", "1a", "a.", '""', "a--", "a\0", '"a\0"', 5],
)
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(OptionError, match="table_name"):
        Attachments(name, 30.0)


@pytest.mark.parametrize("keep", [0, -1, "30", None])
def test_what_is_no_time_is_refused(keep: Any) -> None:
    with pytest.raises(OptionError, match="cleanup_interval"):
        Attachments("a", keep)


@pytest.mark.parametrize("shape", ["{}", "public.{}", '"{} ""é"', 'public."{}.a"'])
async def test_it_is_made_where_it_is_missing(line: Line, shape: str) -> None:
    name = shape.format(f"Test_{secrets.token_hex(8)}")
    try:
        attachments = Attachments(name, 30.0)
        for _ in range(2):
            await attachments.make(line)
        await attachments.store(line, [("channel", "{", b"x")])
        assert (await query(f"SELECT payload FROM {name}"))[0][0] == b"x"
    finally:
        await query(f"DROP TABLE {name}")


async def test_several_make_it_at_once() -> None:
    name = f"test_{secrets.token_hex(8)}"
    lines = [Line(await plan(database())[1](), lambda: None) for _ in range(5)]
    await asyncio.gather(*(Attachments(name, 30.0).make(line) for line in lines))
    for line in lines:
        await line.end()
        line.cut()
    await query(f"DROP TABLE {name}")


async def test_where_it_cannot_be_made_the_statement_is_told(line: Line) -> None:
    with pytest.raises(
        PermissionError, match=r"nowhere.*; CREATE TABLE IF NOT EXISTS nowhere\.a \(id bigserial"
    ):
        await Attachments("nowhere.a", 30.0).make(line)


async def test_who_is_told_of_an_attachment_finds_it(table: Table) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    other = Line(await plan(database())[1](), lambda: None)
    channel = table.name
    await table.line.listen(channel, lambda *args: heard.put_nowait(args[-1]))
    await table.attachments.store(
        other, [(channel, f'{{"n":{number},"attachmentId":"', b"%d" % number) for number in range(20)]
    )
    for number in range(20):
        async with asyncio.timeout(10):
            text = await heard.get()
        attachment = int(text.split('"')[-2])
        assert text == f'{{"n":{number},"attachmentId":"{attachment}"}}'
        found, _ = await table.attachments.read(table.line, [attachment], 100, 100)
        assert found == {attachment: b"%d" % number}
    await other.end()
    other.cut()


async def test_what_is_not_there_or_too_large_has_a_reason(table: Table) -> None:
    small, large, nothing = await table.insert(b"x", b"x" * 101, None)
    found, reasons = await table.attachments.read(table.line, [large, small, 2**62, nothing], 100, 100)
    assert found == {large: None, small: b"x", 2**62: None, nothing: b""}
    assert "101 bytes" in reasons[large]
    assert "none" in reasons[2**62]


async def test_only_so_much_is_read_at_once(table: Table) -> None:
    numbers = await table.insert(*[b"x" * 60] * 10)
    wanted, rounds = numbers[::-1], 0
    while wanted:
        found, _ = await table.attachments.read(table.line, wanted, 1_000, 100)
        assert wanted[0] in found
        assert len(found) == 2 or len(wanted) == 1
        assert all(found.values())
        wanted, rounds = [each for each in wanted if each not in found], rounds + 1
    assert rounds == 5


async def test_where_nothing_can_be_read_there_is_a_reason(line: Line) -> None:
    found, reasons = await Attachments("nowhere.a", 30.0).read(line, [1, 2], 100, 100)
    assert found == {1: None, 2: None}
    assert "nowhere" in reasons[1]


async def test_old_rows_are_removed_by_whoever_comes_first(table: Table) -> None:
    old = await table.insert(*[b"x"] * 2_500)
    await table.line.fetch(f"UPDATE {table.name} SET created_at = now() - interval '31 s'")
    young = await table.insert(b"x", b"x")
    lines = [Line(await plan(database())[1](), lambda: None) for _ in range(3)]
    await asyncio.gather(*(table.attachments.clean(line) for line in lines))
    await table.attachments.clean(table.line)
    left = [row[0] for row in await table.line.fetch(f"SELECT id FROM {table.name} ORDER BY id")]
    assert left == young
    assert min(young) > max(old)
    for line in lines:
        await line.end()
        line.cut()


async def test_where_nothing_can_be_removed_the_log_says_so(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    await Attachments("nowhere.a", 30.0).clean(line)
    assert ["nowhere" in record.getMessage() for record in caplog.records] == [True]
