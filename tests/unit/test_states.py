"""The tables accept every state named in the code."""

from typing import get_args

from shopbell.conversations.threads import Status
from shopbell.db.schema.core import THREAD_STATUSES
from shopbell.db.schema.inbox_actions import SCHEDULED_STATES
from shopbell.db.schema.webhooks import DELIVERY_STATES, PAYLOAD_VERSIONS, WEBHOOK_TOPICS
from shopbell.inbox.scheduled_messages import State as ScheduledState
from shopbell.webhooks.delivery_log import State
from shopbell.webhooks.endpoints import PayloadVersion
from shopbell.webhooks.subscriptions import Topic


def test_the_tables_accept_every_state_named_in_the_code() -> None:
    assert get_args(Status) == THREAD_STATUSES
    assert get_args(Topic) == WEBHOOK_TOPICS
    assert get_args(PayloadVersion) == PAYLOAD_VERSIONS
    assert get_args(State) == DELIVERY_STATES
    assert get_args(ScheduledState) == SCHEDULED_STATES
