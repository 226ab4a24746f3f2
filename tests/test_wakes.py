"""Whoever waits for news is woken by it, within one process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shopbell.wakes.hub import Wakes

T = TypeVar("T")
ACME, GLOBEX = 1, 2
LONG_S = 30


def _run(test: Callable[[Wakes], Awaitable[T]]) -> T:
    async def run() -> T:
        wakes = Wakes()
        await wakes.start()
        result = await test(wakes)
        await wakes.close()
        return result

    return asyncio.run(run())


def test_a_listener_is_woken_while_it_waits() -> None:
    async def test(wakes: Wakes) -> bool:
        with wakes.listen(ACME) as listener:
            asyncio.get_running_loop().call_later(0.01, wakes.announce, [ACME])
            return await listener.wait(LONG_S)

    assert _run(test)


def test_what_is_announced_before_the_wait_is_not_missed() -> None:
    async def test(wakes: Wakes) -> list[bool]:
        with wakes.listen(ACME) as listener:
            wakes.announce([ACME])
            first = await listener.wait(0)
            wakes.announce([ACME])
            return [first, await listener.wait(LONG_S)]

    assert _run(test) == [True, True]


def test_many_announcements_are_one_wake_up() -> None:
    async def test(wakes: Wakes) -> list[bool]:
        with wakes.listen(ACME) as listener:
            for _ in range(100):
                wakes.announce([ACME])
            return [await listener.wait(0), await listener.wait(0)]

    assert _run(test) == [True, False]


def test_nobody_is_woken_by_another_organization() -> None:
    async def test(wakes: Wakes) -> list[bool]:
        with wakes.listen(ACME) as alice, wakes.listen(GLOBEX) as bob:
            wakes.announce([GLOBEX])
            return [await alice.wait(0), await bob.wait(0)]

    assert _run(test) == [False, True]


def test_who_listens_to_all_is_woken_by_each() -> None:
    async def test(wakes: Wakes) -> list[bool]:
        with wakes.listen() as worker:
            wakes.announce([ACME])
            acme = await worker.wait(0)
            wakes.announce([GLOBEX])
            globex = await worker.wait(0)
            wakes.announce([])
            return [acme, globex, await worker.wait(0)]

    assert _run(test) == [True, True, False]


def test_all_who_listen_to_one_organization_are_woken() -> None:
    async def test(wakes: Wakes) -> list[bool]:
        with wakes.listen(ACME) as one, wakes.listen(ACME) as other:
            with wakes.listen(ACME):
                pass
            wakes.announce([GLOBEX, ACME])
            return [await one.wait(0), await other.wait(0)]

    assert _run(test) == [True, True]


def test_a_wait_ends_with_its_time() -> None:
    async def test(wakes: Wakes) -> bool:
        with wakes.listen(ACME) as listener:
            return await listener.wait(0.01)

    assert not _run(test)


def test_who_went_is_forgotten() -> None:
    async def test(wakes: Wakes) -> int:
        for organization_id in range(1_000):
            with wakes.listen(organization_id), wakes.listen():
                pass
        return len(wakes._of_one) + len(wakes._of_all)

    assert _run(test) == 0
