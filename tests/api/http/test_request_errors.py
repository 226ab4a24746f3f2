"""At most a hundred errors of a request are listed."""

import pytest

from harness.shop import Shop
from shopbell.errors import FIELD_ERRORS_MAX, FieldError, Invalid
from shopbell.organizations.opening_hours import DAYS

BUSINESSES = "/api/businesses"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_only_the_first_hundred_errors_are_listed(shop: Shop) -> None:
    days = {day: [["x", "y"]] * 24 for day in DAYS}
    answer = shop.post({"name": "Acme", "openingHours": {"weekly": days}}, path=BUSINESSES)
    assert answer.status_code == 400
    told = answer.json()
    assert len(told["errors"]) == FIELD_ERRORS_MAX
    assert told["detail"] == "More than 100 problems were found; the first 100 are listed."
    assert told["developerMessage"].count("must be a time of day") == FIELD_ERRORS_MAX


def test_a_hundred_errors_are_listed_completely() -> None:
    for count, detail in ((99, "99 problems were found."), (100, "100 problems were found.")):
        problem = Invalid([FieldError(f"{number}", "blank", "must not be blank") for number in range(count)])
        assert problem.detail == detail
        assert len(problem.listed) == count
