"""Signals: news that is worth nothing a moment later, and is written down nowhere: who types, who is there, who read.

They go the way of wake-ups, and beside them nothing does: a lost one costs a moment's knowledge, never a message.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import orjson

Kind = Literal["typing", "presence", "read", "survey", "ended"]
"""``survey``: the customer is asked something. ``ended``: a session was, ``{"sessionId": …}``; its streams end."""

_KINDS = frozenset(("typing", "presence", "read", "survey", "ended"))
MARK = "~"
"""Before signals on their way between processes; ids begin with a digit."""


class Signal(NamedTuple):
    """A signal.

    Args:
        organization_id: whose.
        thread_id: in which thread; 0 for all of a business, or of the organization.
        business_id: of which business; 0 for all of them.
        kind: what it is about.
        data: what it says, in JSON's types: ``{"from": "store", …}``. Never a text that somebody wrote.
    """

    organization_id: int
    thread_id: int
    business_id: int
    kind: Kind
    data: Mapping[str, object]


Hear = Callable[[Signal], None]


def encode(signal: Signal) -> str:
    """A signal as it goes to other processes."""
    return orjson.dumps(tuple(signal)).decode()


def join(encoded: list[str]) -> str:
    """Several of them in one message."""
    return f"{MARK}[{','.join(encoded)}]"


def decode(payload: str) -> list[Signal]:
    """Read a message of signals; what is none is left out: it may be somebody else's, or a later version's."""
    try:
        found = orjson.loads(payload.removeprefix(MARK))
    except orjson.JSONDecodeError:
        return []
    return [Signal(*each) for each in found if _is_signal(each)] if isinstance(found, list) else []


def _is_signal(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == len(Signal._fields)
        and all(type(number) is int for number in value[:3])
        and value[3] in _KINDS
        and isinstance(value[4], dict)
    )
