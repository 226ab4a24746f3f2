"""The time of a log line."""

from datetime import UTC, datetime

import pytest

from shopbell.runtime.clock import log_time


@pytest.mark.parametrize("ms", [0, 999, 1_000, 951_782_399_999, 1_795_931_213_054, 1_795_931_213_100])
def test_the_time_of_a_line_is_in_iso_8601_with_milliseconds(ms: int) -> None:
    whole_s, rest_ms = divmod(ms, 1_000)
    time = datetime.fromtimestamp(whole_s, UTC).replace(microsecond=rest_ms * 1_000)
    assert log_time((ms + 0.5) / 1_000) == time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
