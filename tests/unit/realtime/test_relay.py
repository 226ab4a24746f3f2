"""A relay ends and replaces its link even if a library swallows a cancellation."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

from shopbell.realtime.relay import Link, Relay

LONG_S = 30


class Broken:
    """A link that breaks at once."""

    async def send(self, payload: str) -> None:
        """Send nothing."""

    async def until_lost(self) -> NoReturn:
        """Break."""
        raise ConnectionError


class Swallowing:
    """A link that swallows one cancellation, like ``asyncio.wait_for`` before 3.12."""

    def __init__(self) -> None:
        self.has_swallowed = False
        self.is_sending = asyncio.Event()
        self.breaks = asyncio.Event()

    async def send(self, payload: str) -> None:
        """Send until cancelled."""
        self.is_sending.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self.has_swallowed:
                raise
            self.has_swallowed = True

    async def until_lost(self) -> NoReturn:
        """Break when told to."""
        await self.breaks.wait()
        raise ConnectionError


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a test with a time limit, which works even if a cancellation is swallowed."""

    async def limited() -> None:
        task = asyncio.create_task(test())
        await asyncio.wait((task,), timeout=LONG_S)
        assert task.done(), "it waits forever"
        await task

    asyncio.run(limited())


def test_a_relay_ends_although_closing_its_link_swallows_the_cancellation() -> None:
    async def test() -> None:
        is_closing = asyncio.Event()

        @asynccontextmanager
        async def connect(_: Callable[[str], None]) -> AsyncIterator[Link]:
            try:
                yield Broken()
            finally:
                is_closing.set()
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

        relay = Relay("a test", connect)
        await relay.start(lambda _: None)
        await is_closing.wait()
        await relay.close()

    run(test)


def test_a_relay_ends_although_opening_its_link_swallows_the_cancellation() -> None:
    async def test() -> None:
        is_opening = asyncio.Event()

        @asynccontextmanager
        async def connect(_: Callable[[str], None]) -> AsyncIterator[Link]:
            is_opening.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            yield Swallowing()

        relay = Relay("a test", connect)
        starting = asyncio.create_task(relay.start(lambda _: None))
        await is_opening.wait()
        await starting
        await relay.close()

    run(test)


def test_a_relay_ends_although_its_message_swallows_the_cancellation() -> None:
    async def test() -> None:
        link = Swallowing()

        @asynccontextmanager
        async def connect(_: Callable[[str], None]) -> AsyncIterator[Link]:
            yield link

        relay = Relay("a test", connect)
        await relay.start(lambda _: None)
        relay.publish([1])
        await link.is_sending.wait()
        await relay.close()

    run(test)


def test_a_broken_link_is_replaced_although_its_message_swallows_the_cancellation() -> None:
    async def test() -> None:
        links = [Swallowing(), Swallowing()]
        left = iter(links)

        @asynccontextmanager
        async def connect(_: Callable[[str], None]) -> AsyncIterator[Link]:
            yield next(left)

        relay = Relay("a test", connect)
        await relay.start(lambda _: None)
        relay.publish([1])
        await links[0].is_sending.wait()
        links[0].breaks.set()
        relay.publish([2])
        await links[1].is_sending.wait()
        await relay.close()

    run(test)
