"""What an adapter must do that keeps sessions and packets (``capabilities.recovery``)."""

from __future__ import annotations

import asyncio
from typing import Any

from socketeer.testing.stage import Actor, Contract, Stage, same


class RecoveryCases(Contract):
    """The part of the contract that is about clients whose connection breaks and who come back."""

    async def _leaver(self, stage: Stage) -> Actor:
        """A client of the first node that has got one event, so that it knows an offset."""
        actor = stage.enter(0)
        stage.servers[0].to(actor.id).emit("first")
        same(await stage.heard(actor), [[["first"]]], "the first event")
        assert isinstance(actor.offset, str), "expected an event with its offset as the last argument"
        return actor

    async def _return(self, stage: Stage, actor: Actor, node: int, **auth: Any) -> Actor:
        """The same client over a new connection to some node."""
        return await stage.reenter(node, auth={"pid": actor.pid, "offset": actor.offset, **auth})

    async def _recovered(self, stage: Stage, actor: Actor, node: int) -> Actor:
        """The client comes back, once more where its session may not have got there yet."""
        found: list[Actor] = []

        async def attempt() -> bool:
            found.append(await self._return(stage, actor, node))
            if not found[-1].socket.recovered:
                found[-1].client.vanish()
            return found[-1].socket.recovered

        await stage.until(attempt, f"the client is recovered on node {node}")
        return found[-1]

    async def test_recovery(self) -> None:
        """Id, rooms, data and missed events, in order and once, whichever node the client comes back to."""
        async with self.recovering() as stage:
            for node, io in enumerate(stage.servers):
                actor = await self._leaver(stage)
                actor.socket.join(["a", "b"])
                actor.socket.leave("b")
                actor.socket.data["name"] = "Ada"
                await stage.heard()
                actor.client.vanish()
                io.emit("missed", 1)
                io.to("a").emit("missed", 2, b"\x01")
                io.to("b").emit("missed", 3)
                io.except_("a").emit("missed", 4)
                io.to(["b", "a"]).emit("missed", 5)
                io.to(actor.id).emit("missed", 6)
                io.volatile.emit("missed", 7)
                await io.to(actor.id).emit_with_ack("missed", 8, timeout=self.patience)
                await stage.heard()
                back = await self._recovered(stage, actor, node)
                same(back.id, actor.id, "socket.id")
                same(back.pid, actor.pid, "the private id")
                same(back.socket.rooms, {actor.id, "a"}, "rooms")
                same(back.socket.data, {"name": "Ada"}, "data")
                io.to("a").emit("live", 9)
                (events,) = await stage.heard(back)
                same(
                    events,
                    [["missed", 1], ["missed", 2, b"\x01"], ["missed", 5], ["missed", 6], ["live", 9]],
                    "events",
                )
                back.socket.disconnect()

    async def test_recovery_of_what_was_on_its_way(self) -> None:
        async with self.recovering() as stage:
            actor = await self._leaver(stage)
            sent: list[int] = []
            for number in range(20):
                stage.servers[number % self.nodes].to(actor.id).emit("missed", number)
                sent.append(number)
            await stage.until(lambda: len(actor.client.carrier.sent) == len(sent), "they are on their way")
            actor.client.heard()  # and get lost
            actor.client.vanish()
            back = await self._recovered(stage, actor, self.nodes - 1)
            (events,) = await stage.heard(back)
            same(sorted(args[1] for args in events), sent, "events, each once")

    async def test_recovery_in_the_order_of_what_was_sent(self) -> None:
        async with self.recovering() as stage:
            actor = await self._leaver(stage)
            actor.socket.join("a")
            actor.client.vanish()
            for number in range(50):
                io = stage.servers[0]
                (io, io.to("a"), io.to(actor.id))[number % 3].emit("missed", number)
            await stage.heard()
            back = await self._recovered(stage, actor, 0)
            (events,) = await stage.heard(back)
            same([args[1] for args in events], list(range(50)), "events in order")

    async def test_recovery_with_what_is_not_known(self) -> None:
        async with self.recovering() as stage:
            actor = await self._leaver(stage)
            actor.client.vanish()
            adapter, offset = stage.servers[0].adapter, str(actor.offset)
            for strange in (
                "",
                "x" * 20,
                "\x00",
                "h\u00e9",
                "$",
                "*",
                "+",
                "0",
                "0-0",
                "-1",
                "9" * 1_000,
                "x" * 100_000,
            ):
                same(await adapter.restore_session(strange, offset), None, f"private id {strange[:20]!r}")
                same(await adapter.restore_session(actor.pid, strange), None, f"offset {strange[:20]!r}")

    async def test_recovery_is_not_for_who_was_disconnected(self) -> None:
        async with self.recovering() as stage:
            actor = await self._leaver(stage)
            actor.client.vanish()
            back = await self._recovered(stage, actor, 0)
            back.offset = actor.offset
            back.socket.disconnect()
            for node in range(self.nodes):
                assert not (await self._return(stage, back, node)).socket.recovered, "expected a new session"

    async def test_recovery_ends_in_time(self) -> None:
        async with self.recovering(max_disconnection_duration=self.brief) as stage:
            actor = await self._leaver(stage)
            actor.client.vanish()
            await asyncio.sleep(2 * self.brief)
            for node in range(self.nodes):
                assert not (await self._return(stage, actor, node)).socket.recovered, "expected a new session"
