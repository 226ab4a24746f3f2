"""Publish/subscribe within one process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shopbell.realtime.hub import PubSub

T = TypeVar("T")
ACME, GLOBEX = 1, 2
LONG_S = 30


def _run(test: Callable[[PubSub], Awaitable[T]]) -> T:
    async def run() -> T:
        pubsub = PubSub()
        await pubsub.start()
        result = await test(pubsub)
        await pubsub.close()
        return result

    return asyncio.run(run())


def test_a_waiting_listener_is_notified() -> None:
    async def test(pubsub: PubSub) -> bool:
        with pubsub.listen(ACME) as listener:
            asyncio.get_running_loop().call_later(0.01, pubsub.publish, [ACME])
            return await listener.wait(LONG_S)

    assert _run(test)


def test_a_publication_before_the_wait_is_not_missed() -> None:
    async def test(pubsub: PubSub) -> list[bool]:
        with pubsub.listen(ACME) as listener:
            pubsub.publish([ACME])
            first = await listener.wait(0)
            pubsub.publish([ACME])
            return [first, await listener.wait(LONG_S)]

    assert _run(test) == [True, True]


def test_many_publications_are_one_notification() -> None:
    async def test(pubsub: PubSub) -> list[bool]:
        with pubsub.listen(ACME) as listener:
            for _ in range(100):
                pubsub.publish([ACME])
            return [await listener.wait(0), await listener.wait(0)]

    assert _run(test) == [True, False]


def test_a_listener_is_not_notified_of_another_organization() -> None:
    async def test(pubsub: PubSub) -> list[bool]:
        with pubsub.listen(ACME) as alice, pubsub.listen(GLOBEX) as bob:
            pubsub.publish([GLOBEX])
            return [await alice.wait(0), await bob.wait(0)]

    assert _run(test) == [False, True]


def test_a_global_listener_is_notified_of_every_organization() -> None:
    async def test(pubsub: PubSub) -> list[bool]:
        with pubsub.listen() as worker:
            pubsub.publish([ACME])
            acme = await worker.wait(0)
            pubsub.publish([GLOBEX])
            globex = await worker.wait(0)
            pubsub.publish([])
            return [acme, globex, await worker.wait(0)]

    assert _run(test) == [True, True, False]


def test_all_listeners_of_an_organization_are_notified() -> None:
    async def test(pubsub: PubSub) -> list[bool]:
        with pubsub.listen(ACME) as one, pubsub.listen(ACME) as other:
            with pubsub.listen(ACME):
                pass
            pubsub.publish([GLOBEX, ACME])
            return [await one.wait(0), await other.wait(0)]

    assert _run(test) == [True, True]


def test_a_wait_ends_at_its_timeout() -> None:
    async def test(pubsub: PubSub) -> bool:
        with pubsub.listen(ACME) as listener:
            return await listener.wait(0.01)

    assert not _run(test)


def test_a_closed_listener_is_removed() -> None:
    async def test(pubsub: PubSub) -> int:
        for organization_id in range(1_000):
            with pubsub.listen(organization_id), pubsub.listen():
                pass
        return len(pubsub._of_one) + len(pubsub._of_all)

    assert _run(test) == 0
