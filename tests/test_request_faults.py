"""Of many faults of a request the first hundred are listed."""

import pytest

from harness.shop import Shop
from shopbell.errors import FAULTS_MAX, Fault, Invalid
from shopbell.hours import DAYS

BUSINESSES = "/api/businesses"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_of_many_faults_the_first_hundred_are_told(shop: Shop) -> None:
    days = {day: [["x", "y"]] * 24 for day in DAYS}
    answer = shop.post({"name": "Acme", "openingHours": {"weekly": days}}, path=BUSINESSES)
    assert answer.status_code == 400
    told = answer.json()
    assert len(told["errors"]) == FAULTS_MAX
    assert told["detail"] == "More than 100 problems were found; the first 100 are listed."
    assert told["developerMessage"].count("must be a time of day") == FAULTS_MAX


def test_a_hundred_faults_are_told_whole() -> None:
    for count, detail in ((99, "99 problems were found."), (100, "100 problems were found.")):
        problem = Invalid([Fault("body", f"#/{number}", "blank", "must not be blank") for number in range(count)])
        assert problem.detail == detail
        assert len(problem.members()["errors"]) == count  # type: ignore[arg-type]
