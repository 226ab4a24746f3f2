"""The sender waits for the next message; one that fails blocks no other."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection

from harness.installation import Installation
from harness.scheduling import TEXT, scheduled, state
from harness.shop import Shop
from harness.world import World
from shopbell.conversations.threads import Thread
from shopbell.db.connect import open_database
from shopbell.inbox import scheduled_sender, scheduled_sending
from shopbell.inbox.scheduled_messages import ScheduledMessage
from shopbell.inbox.scheduled_sender import ScheduledSender
from shopbell.inbox.scheduled_sending import BATCH_MESSAGES
from shopbell.realtime.hub import PubSub
from shopbell.realtime.signals import Signal
from shopbell.runtime.clock import now_ms
from shopbell.settings.settings import load


@pytest.fixture
def shop(installation: Installation, people: World) -> Iterator[Shop]:
    """A server of its own without a worker."""
    with installation.serving(run_worker=False) as server:
        yield Shop(server, people)


class Turns:
    """A sender whose turns the test takes, and the signals of Acme that it sends."""

    def __init__(self, runner: asyncio.Runner, sender: ScheduledSender) -> None:
        self._runner = runner
        self.sender = sender
        self.signals: list[Signal] = []

    def take(self) -> float:
        """Take a turn; returns the seconds to wait."""
        return self._runner.run(self.sender._send_due())


@pytest.fixture
def turns(installation: Installation, people: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turns]:
    """A sender in this process."""
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    database, pubsub = open_database(load()), PubSub()
    with asyncio.Runner() as runner:
        turns = Turns(runner, ScheduledSender(load(), database, pubsub))
        with pubsub.subscribe_to_signals(int(people.acme), turns.signals.append):
            yield turns
        runner.run(database.close())


def test_the_sender_waits_until_the_next_message_is_due(
    shop: Shop, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll_interval_s = load().poll_interval_s
    assert turns.take() == poll_interval_s
    id_ = scheduled(shop, shop.send())
    assert turns.take() == poll_interval_s
    at_ms = now_ms()
    shop.database.change("UPDATE scheduled_messages SET send_at_ms = :at_ms", at_ms=at_ms)
    monkeypatch.setattr(scheduled_sender, "now_ms", lambda: at_ms - 300)
    assert turns.take() == 0.3
    monkeypatch.setattr(scheduled_sender, "now_ms", lambda: at_ms)
    assert turns.take() == 0
    (signal,) = turns.signals
    assert (signal.kind, signal.data["scheduledMessageId"], signal.data["state"]) == ("scheduled", id_, "sent")
    assert TEXT not in str(signal)


def test_a_message_that_cannot_be_sent_blocks_no_other(
    shop: Shop, turns: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = [shop.send() for _ in range(4)]
    ids = [scheduled(shop, thread_id, delayMs=0, text=f"text {place}") for place, thread_id in enumerate(threads)]
    real: Callable[[Connection, ScheduledMessage, Thread], bool] = scheduled_sending._may_send

    def broken(tx: Connection, message: ScheduledMessage, thread: Thread) -> bool:
        if message.body == "text 2":
            raise AssertionError("a bug")
        return real(tx, message, thread)

    monkeypatch.setattr(scheduled_sending, "_may_send", broken)
    for _ in range(8):
        turns.take()
    assert [state(shop, id_)[0] for id_ in ids] == ["sent", "sent", "refused", "sent"]
    assert state(shop, ids[2]) == ("refused", "error")
    assert turns.sender._batch == BATCH_MESSAGES
