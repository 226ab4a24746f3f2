"""The signals of changes in the list of conversations."""

from shopbell.inbox.feed_consumer import Changed
from shopbell.inbox.list_keeper import SIGNAL_IDS_MAX, signals
from shopbell.realtime.signals import Signal

ACME, BOSTON, PARIS = 1, 2, 3


def test_each_business_has_a_signal_of_its_own() -> None:
    changed = Changed(ACME, {BOSTON: [11, 12], PARIS: [13]})
    assert list(signals(changed)) == [
        Signal(ACME, 0, BOSTON, "inbox", {"customerThreadIds": ["11", "12"]}),
        Signal(ACME, 0, PARIS, "inbox", {"customerThreadIds": ["13"]}),
    ]


def test_a_signal_says_that_more_has_changed_than_it_names() -> None:
    (signal,) = signals(Changed(ACME, {BOSTON: [*range(SIGNAL_IDS_MAX + 1)]}))
    named = signal.data["customerThreadIds"]
    assert isinstance(named, list)
    assert (len(named), signal.data["hasMore"]) == (SIGNAL_IDS_MAX, True)
