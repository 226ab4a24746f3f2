"""Signals: short-lived information that is never stored, such as typing and presence.

They travel like notifications. A lost signal only delays what people see; messages never depend on signals.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, get_args

import orjson

Kind = Literal["typing", "presence", "read", "survey", "ended", "inbox", "viewing", "writing", "draft", "scheduled"]
"""``survey``: a survey was sent. ``ended``: a session ended (``{"sessionId": …}``), which ends its streams.
``inbox``: entries of the list of conversations changed. ``viewing``, ``writing``: an employee looks at a conversation,
or writes in it. ``draft``, ``scheduled``: a draft or a scheduled message changed."""

EMPLOYEES_ONLY = frozenset[Kind](("inbox", "viewing", "writing", "draft", "scheduled"))
"""Signals for employees and programs. The streams of customers never receive them."""

_KINDS = frozenset(get_args(Kind))
MARK = "~"
"""Prefix of signal messages between processes; messages with ids start with a digit."""


class Signal(NamedTuple):
    """A signal to the subscribers of an organization.

    Args:
        thread_id: its thread; 0 for all threads of the business or organization.
        business_id: its business; 0 for all businesses.
        data: JSON values such as ``{"from": "store", …}``; never text that a person wrote.
    """

    organization_id: int
    thread_id: int
    business_id: int
    kind: Kind
    data: Mapping[str, object]


SignalHandler = Callable[[Signal], None]


def encode(signal: Signal) -> str:
    """Encode a signal for other processes."""
    return orjson.dumps(tuple(signal)).decode()


def join(encoded: list[str]) -> str:
    """Join encoded signals into one message."""
    return f"{MARK}[{','.join(encoded)}]"


def decode(payload: str) -> list[Signal]:
    """Decode a message; skip invalid signals, which may come from a newer version."""
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
        and isinstance(value[3], str)
        and value[3] in _KINDS
        and isinstance(value[4], dict)
    )
