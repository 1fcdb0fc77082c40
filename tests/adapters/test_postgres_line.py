"""A connection to the real PostgreSQL, and what errors are about."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from socketeer.adapters.postgres_line import Line, breaks, plan
from socketeer.errors import OptionError
from tests.adapters.postgres_nodes import database, query
from tests.adapters.redis_nodes import prefix


async def line_to(server: Any, ended: Any = lambda: None) -> Line:
    return Line(await plan(server)[1](), ended)


async def test_notifications_name_the_process_that_sends_them() -> None:
    one, other = await line_to(database()), await line_to(database())
    heard: asyncio.Queue[tuple[int, str, str]] = asyncio.Queue()
    channel = f'{prefix()} "é"'
    await one.listen(channel, lambda _, *notification: heard.put_nowait(notification))
    await other.fetch("SELECT pg_notify($1, 'hello')", channel)
    async with asyncio.timeout(10):
        assert await heard.get() == (other.pid, channel, "hello")
    for each in (one, other):
        await each.end()
        each.cut()
        await each.end()
        each.cut()
        assert not each.open


async def test_several_may_speak_at_once() -> None:
    line = await line_to(database())
    answers = await asyncio.gather(*(line.fetch("SELECT $1::int", number) for number in range(20)))
    assert [rows[0][0] for rows in answers] == list(range(20))
    await line.end()
    line.cut()


async def test_all_rows_or_none() -> None:
    line = await line_to(database())
    await line.fetch("CREATE TEMPORARY TABLE numbers (number int UNIQUE)")
    await line.run_each("INSERT INTO numbers VALUES ($1)", [(1,), (2,)])
    with pytest.raises(asyncpg.UniqueViolationError) as caught:
        await line.run_each("INSERT INTO numbers VALUES ($1)", [(3,), (1,)])
    assert not breaks(caught.value)
    assert (await line.fetch("SELECT count(*) FROM numbers"))[0][0] == 2
    await line.end()
    line.cut()


async def test_its_end_is_told_and_is_about_the_link() -> None:
    ended = asyncio.Event()
    line = await line_to(database(), ended.set)
    asking = asyncio.ensure_future(line.fetch("SELECT pg_sleep(60)"))
    await asyncio.sleep(0)
    await query("SELECT pg_terminate_backend($1)", line.pid)
    async with asyncio.timeout(10):
        await ended.wait()
        with pytest.raises(Exception, match=r"terminat|closed") as caught:
            await asking
    assert breaks(caught.value)
    assert not line.open
    with pytest.raises(asyncpg.InterfaceError) as late:
        await line.fetch("SELECT 1")
    assert breaks(late.value)
    await line.end()
    line.cut()


@pytest.mark.parametrize(
    ("error", "is_broken"),
    [
        (asyncpg.AdminShutdownError("x"), True),
        (asyncpg.CannotConnectNowError("x"), True),
        (asyncpg.ConnectionDoesNotExistError("x"), True),
        (asyncpg.ReadOnlySQLTransactionError("x"), True),
        (asyncpg.InterfaceError("x"), True),
        (OSError("x"), True),
        (TimeoutError(), True),
        (asyncpg.QueryCanceledError("x"), False),
        (asyncpg.UndefinedTableError("x"), False),
        (asyncpg.InsufficientPrivilegeError("x"), False),
        (asyncpg.InvalidParameterValueError("x"), False),
        (asyncpg.DiskFullError("x"), False),
    ],
)
def test_what_breaks_the_link(error: Exception, is_broken: bool) -> None:
    assert breaks(error) is is_broken


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://user:secret@example.org:6000/chat", "example.org:6000"),
        ("postgres://example.org", "example.org"),
        ("postgresql://user:se%40cret@one:1,two:2/chat", "one:1,two:2"),
        ("postgresql:///chat?host=/var/run/postgresql", "/var/run/postgresql"),
        ("postgresql://", "localhost"),
    ],
)
def test_names_have_no_password(url: str, name: str) -> None:
    assert plan(url)[0] == f"PostgreSQL at {name}"


@pytest.mark.parametrize("server", ["mysql://user:secret@localhost", "nonsense", "postgresql://[", 5, None])
def test_what_is_no_server_is_refused(server: Any) -> None:
    with pytest.raises(OptionError, match="server: expected a URL") as caught:
        plan(server)
    assert "secret" not in str(caught.value)


async def test_a_function_makes_the_connections() -> None:
    line = await line_to(lambda: asyncpg.connect(database()))
    assert (await line.fetch("SELECT 1"))[0][0] == 1
    await line.end()
    line.cut()


async def test_a_pool_gives_them_and_gets_their_places_back() -> None:
    async with asyncpg.create_pool(database(), min_size=0, max_size=1) as pool:
        for _ in range(3):
            async with asyncio.timeout(10):
                line = await line_to(pool)
            heard = line.listen(prefix(), print)
            await heard
            await line.end()
            line.cut()
            assert not line.open
        assert await pool.fetchval("SELECT 1") == 1
