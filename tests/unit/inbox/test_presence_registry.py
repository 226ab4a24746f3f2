"""The registry of who is in a conversation."""

from shopbell.inbox.presence import FORGET_AFTER_S, Presence, Viewer
from shopbell.realtime.hub import PubSub

ACME, GLOBEX, BOSTON, THREAD, ALICE, ERIN = 1, 2, 3, 4, 5, 6


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_an_employee_without_a_signal_for_15_s_has_left() -> None:
    clock = Clock()
    presence = Presence(PubSub(), clock)
    presence.tell(ACME, THREAD, BOSTON, ALICE, "Alice", "writing")
    clock.now_s += FORGET_AFTER_S - 1
    assert presence.of_thread(ACME, THREAD) == [Viewer(ALICE, "writing")]
    presence.tell(ACME, THREAD, BOSTON, ALICE, "Alice", "viewing")  # again in time
    clock.now_s += FORGET_AFTER_S - 1
    assert presence.of_thread(ACME, THREAD) == [Viewer(ALICE, "viewing")]
    clock.now_s += 1
    assert presence.of_thread(ACME, THREAD) == []


def test_presence_is_that_of_one_conversation_of_one_organization() -> None:
    presence = Presence(PubSub(), Clock())
    presence.tell(ACME, THREAD, BOSTON, ALICE, "Alice", "viewing")
    presence.tell(ACME, THREAD, BOSTON, ERIN, "Erin", "viewing")
    assert presence.of_thread(GLOBEX, THREAD) == presence.of_thread(ACME, THREAD + 1) == []
    presence.tell(ACME, THREAD, BOSTON, ALICE, "Alice", "left")
    assert presence.of_thread(ACME, THREAD) == [Viewer(ERIN, "viewing")]


def test_the_registry_forgets_conversations_that_everyone_has_left() -> None:
    clock = Clock()
    presence = Presence(PubSub(), clock)
    for thread_id in range(5_000):
        presence.tell(ACME, thread_id, BOSTON, ALICE, "Alice", "viewing")
        clock.now_s += 1
    assert len(presence._known) <= 1_001
