"""What is measured: the works, in the order of the report, and the goals that they are held against.

A new work is a row here and, unless it is made of parts that are there, one in `load/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self

OURS = "socketeer"
OUR_CLIENT = "socketeer-client"
PING_INTERVAL = 25.0  # seconds: Socket.IO's default, and every peer's


class Kind(Enum):
    """How a work is measured."""

    SLICES = "slices"  # CPU time per message, slices of all servers in turn
    DEPARTURES = "departures"  # CPU time per client, when all leave at once
    MEMORY = "memory"  # bytes per client: the slope from a fifth of them to all
    CYCLES = "cycles"  # bytes of the process after all have left, again and again
    CLIENT = "client"  # CPU time of the clients per message


@dataclass(frozen=True)
class Work:
    """One row of a table."""

    name: str
    title: str
    family: str  # a table of the report
    load: str  # what the generator does
    connections: int
    options: tuple[str, ...] = ()  # of the generator
    kind: Kind = Kind.SLICES
    group: str = ""  # works of one group are measured in turn with each other
    peers: tuple[str, ...] = ()  # that are measured unless others are asked for; empty: all that can
    goals: Mapping[str, float] = field(default_factory=dict)  # theirs / ours, at least
    rooms: bool = False  # the server needs its handlers for rooms
    seconds: float | None = None  # of a slice, where it is not everybody's
    rounds: int | None = None  # at most
    in_flight: int = 0  # of clients: requests under way on each connection; the generator knows its own
    replies: int = 1  # to one request

    @property
    def measures_client(self) -> bool:
        return self.kind is Kind.CLIENT

    @property
    def unit(self) -> str:
        """Of `Slice.cost`."""
        return "bytes" if self.kind in (Kind.MEMORY, Kind.CYCLES) else "µs"

    @property
    def ours(self) -> str:
        """The peer that the others are compared with."""
        return OUR_CLIENT if self.measures_client else OURS

    def small(self) -> Self:
        """The same for a smoke test: few connections, moments instead of seconds."""
        connections = self.connections if self.connections <= 20 else max(20, self.connections // 100)
        options = tuple("rooms=10" if option == "rooms=1000" else option for option in self.options)
        seconds = None if self.seconds is None else 0.2
        return replace(self, connections=connections, options=options, seconds=seconds)


MAIN = (OURS, "node", "bun", "python-socketio")
GROWTH = (OURS, "node")


def _goals(node: float, bun: float, python: float) -> dict[str, float]:
    return {"node": node, "bun": bun, "python-socketio": python}


TABLE = (
    Work("echo", "echo, 100 connections, 1 in flight", "table", "echo", 100, goals=_goals(3, 1.3, 20)),
    Work("pipe", "echo, 100 connections, 16 in flight", "table", "pipe", 100, goals=_goals(5, 1.7, 50)),
    Work(
        "bcast",
        "broadcast to 1,000 connections, per delivery",
        "table",
        "bcast",
        1000,
        goals=_goals(3, 1.7, 15),
    ),
    Work("connect", "connect over WebSocket, per connection", "table", "connect", 20, goals=_goals(4, 1, 10)),
    Work(
        "upgrade",
        "connect by polling and upgrade, per connection",
        "table",
        "upgrade",
        100,
        goals=_goals(2, 1, 4),
    ),
    Work("polling", "long-polling echo, per message", "table", "polling", 100, goals=_goals(1.5, 1, 3)),
    Work("binary", "echo of a 64 KiB binary", "table", "binary", 20, goals=_goals(1.5, 1, 5)),
    Work(
        "typed",
        "typed payload, a dataclass of 10 fields, echo",
        "table",
        "typed",
        100,
        goals=_goals(2, 1.2, 12),
    ),
    Work(
        "memory",
        "memory per idle WebSocket connection",
        "table",
        "idle",
        5000,
        kind=Kind.MEMORY,
        rounds=3,
        goals=_goals(4, 4, 4),
    ),
)
MEMORY_GOAL = 4096.0  # bytes per connection, ours

LATENCY = tuple(
    Work(
        f"latency-{rate}",
        f"{rate:,} messages/s",
        "latency",
        "rate",
        100,
        (f"rate={rate}",),
        group="rates",
        peers=MAIN,
        rounds=5,
    )
    for rate in (1_000, 5_000, 20_000, 50_000)
)

GROWTH_OF_CONNECTIONS = tuple(
    Work(
        f"connections-{count}",
        f"echo, {count:,} connections, 10 in flight in all",
        "growth",
        "round",
        count,
        group="connections",
        peers=GROWTH,
        rounds=5,
    )
    for count in (10, 100, 1_000, 10_000)
)
GROWTH_OF_RECEIVERS = tuple(
    Work(
        f"receivers-{count}",
        f"broadcast to {count:,}, per delivery",
        "growth",
        "bcast",
        count,
        group="receivers",
        peers=GROWTH,
        rounds=5,
    )
    for count in (10, 100, 1_000, 10_000)
)
GROWTH_OF_ROOMS = tuple(
    Work(
        f"rooms-{count}",
        f"broadcast to a room of 1,000, each in {count:,} {'rooms' if count > 1 else 'room'}, per delivery",
        "growth",
        "room",
        1_000,
        (f"rooms={count}",),
        group="rooms",
        peers=GROWTH,
        rooms=True,
        rounds=5,
    )
    for count in (1, 10, 1_000)
)
GROWTH_OF_MEMBERSHIP = tuple(
    Work(
        f"membership-{connections}-{batch}",
        f"join and leave, {connections:,} clients in 10 rooms each, {batch:,} rooms at a time, per room",
        "growth",
        "membership",
        connections,
        ("own", "rooms=10", f"batch={batch}"),
        group="membership",
        peers=GROWTH,
        rooms=True,
        rounds=5,
    )
    for connections, batch in ((100, 10), (10_000, 10), (100, 100), (100, 1_000))
)
GROWTH_OF_DEPARTURES = tuple(
    Work(
        f"leaving-{connections}-{rooms}",
        f"{connections:,} clients leave at once, each in {rooms:,} rooms of its own, per client",
        "growth",
        "idle",
        connections,
        ("own", f"rooms={rooms}"),
        kind=Kind.DEPARTURES,
        group="leaving",
        peers=GROWTH,
        rooms=True,
        rounds=3,
    )
    for connections, rooms in ((100, 10), (1_000, 10), (10_000, 10), (1_000, 100), (100, 1_000))
)
GROWTH_OF_MEMORY = (
    Work(
        "memory-rooms",
        "memory per client in 100 rooms of its own",
        "growth",
        "idle",
        2_000,
        ("own", "rooms=100"),
        kind=Kind.MEMORY,
        peers=GROWTH,
        rooms=True,
        rounds=3,
    ),
    Work(
        "cycles",
        "memory after 2,000 clients in 10 rooms each have come and gone, ten times",
        "growth",
        "idle",
        2_000,
        ("own", "rooms=10"),
        kind=Kind.CYCLES,
        peers=GROWTH,
        rooms=True,
        rounds=10,
    ),
)

HEARTBEATS = (
    Work(
        "heartbeats",
        "heartbeats of 10,000 idle connections",
        "idle",
        "idle",
        10_000,
        peers=MAIN,
        seconds=PING_INTERVAL,
        rounds=1,
    ),
)
HEARTBEAT_GOAL = 1.0  # percent of a core

CROWD = (
    Work(
        "crowd",
        "1,000 echoes/s of 10 others during one emit to 10,000",
        "crowd",
        "crowd",
        10_010,
        ("rooms=1",),
        peers=MAIN,
        rooms=True,
        rounds=5,
    ),
)

CLIENTS = (
    Work(
        "client-echo",
        "100 connections, 1 in flight on each",
        "client",
        "",
        100,
        kind=Kind.CLIENT,
        in_flight=1,
    ),
    Work("client-pipe", "1 connection, 16 in flight", "client", "", 1, kind=Kind.CLIENT, in_flight=16),
    Work(
        "client-receive",
        "1 connection, events as they come, per event",
        "client",
        "",
        1,
        kind=Kind.CLIENT,
        in_flight=1,
        replies=1000,
    ),
)

GROWTH_WORKS = (
    *GROWTH_OF_CONNECTIONS,
    *GROWTH_OF_RECEIVERS,
    *GROWTH_OF_ROOMS,
    *GROWTH_OF_MEMBERSHIP,
    *GROWTH_OF_DEPARTURES,
    *GROWTH_OF_MEMORY,
)
WORKS = {work.name: work for work in (*TABLE, *LATENCY, *GROWTH_WORKS, *HEARTBEATS, *CROWD, *CLIENTS)}
FAMILIES = {
    "table": "What a unit of each work costs the server",
    "latency": "Latency at fixed loads",
    "growth": "How the cost grows",
    "idle": "Heartbeats",
    "crowd": "What others notice of one emit to 10,000",
    "client": "What a message costs the client",
}


def choose(wanted: str) -> list[Work]:
    """The works of a list of names; a name may be a work's, a group's, or a family's.

    Raises:
        ValueError: a name is nobody's.
    """
    chosen: dict[str, Work] = {}
    for name in wanted.split(","):
        found = [work for work in WORKS.values() if name in (work.name, work.family, work.group)]
        if not found:
            raise ValueError(f"unknown work {name}; there are {', '.join((*FAMILIES, *WORKS))}")
        chosen.update((work.name, work) for work in found)
    return list(chosen.values())


def groups(works: list[Work]) -> list[list[Work]]:
    """The works that are measured together, in order."""
    together: dict[str, list[Work]] = {}
    for work in works:
        together.setdefault(work.group or work.name, []).append(work)
    return list(together.values())


def smoke(works: list[Work]) -> list[Work]:
    """The same in small; of the works that differ in size only, the first."""
    return [group[0].small() for group in groups(works)]
