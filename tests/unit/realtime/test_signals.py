"""Signals of other processes, which may have a newer version."""

import orjson
import pytest

from shopbell.realtime import signals
from shopbell.realtime.signals import Signal

GOOD = Signal(1, 2, 3, "typing", {"from": "store"})


@pytest.mark.parametrize(
    "unknown",
    [
        [1, 2, 3, ["typing"], {}],
        [1, 2, 3, {"typing": 1}, {}],
        [1, 2, 3, None, {}],
        [1, 2, 3, "dancing", {}],
        [1, 2, 3, "typing", []],
        [1, 2, 3, "typing", {}, 6],
        ["1", 2, 3, "typing", {}],
        {"kind": "typing"},
        [],
        "typing",
        None,
    ],
)
def test_unknown_signals_are_skipped(unknown: object) -> None:
    others = [orjson.dumps(unknown).decode(), signals.encode(GOOD)]
    assert signals.decode(signals.join(others)) == [GOOD]
    assert signals.decode(signals.MARK + others[0]) == []
