"""Lists of names that are in two places agree."""

from typing import get_args

from shopbell.conversations.threads import Status
from shopbell.db.schema.core import THREAD_STATUSES
from shopbell.db.schema.inbox_actions import SCHEDULED_STATES
from shopbell.db.schema.webhooks import DELIVERY_STATES, PAYLOAD_VERSIONS, WEBHOOK_TOPICS
from shopbell.events.record import KINDS, DeliveredType, EventType
from shopbell.inbox.scheduled_messages import State as ScheduledState
from shopbell.webhooks.delivery_log import State
from shopbell.webhooks.endpoints import PayloadVersion
from shopbell.webhooks.payloads import TEST_EVENT
from shopbell.webhooks.subscriptions import Topic


def test_the_tables_accept_every_state_named_in_the_code() -> None:
    assert get_args(Status) == THREAD_STATUSES
    assert get_args(Topic) == WEBHOOK_TOPICS
    assert get_args(PayloadVersion) == PAYLOAD_VERSIONS
    assert get_args(State) == DELIVERY_STATES
    assert get_args(ScheduledState) == SCHEDULED_STATES


def test_every_type_of_events_is_described_once() -> None:
    assert tuple(KINDS) == get_args(EventType)
    with_topic = {type_: kind.topic for type_, kind in KINDS.items() if kind.topic}
    assert tuple(with_topic.values()) == WEBHOOK_TOPICS
    assert get_args(DeliveredType) == (*with_topic, TEST_EVENT)
