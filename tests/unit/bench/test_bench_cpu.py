"""What `make bench-cpu` concludes from its measurements."""

import pytest
from bench.cpu import Comparison, interval


@pytest.mark.parametrize(
    ("count", "left_out"),
    [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (20, 5), (100, 39)],
)
def test_the_interval_excludes_as_many_values_on_each_side_as_binomial_tables_say(count: int, left_out: int) -> None:
    assert interval(range(count)) == (left_out, count - 1 - left_out)


@pytest.mark.parametrize(
    ("tree_us", "verdict"),
    [
        ([105.0] * 20, "costs more"),
        ([95.0] * 20, "costs less"),
        ([101.5] * 20, "within noise"),
        ([90.0, 110.0] * 9 + [110.0] * 2, "within noise"),
    ],
)
def test_a_ratio_is_noise_unless_it_is_clear_and_large(tree_us: list[float], verdict: str) -> None:
    assert Comparison("SQLite", tree_us, [100.0] * 20).verdict() == verdict
