"""Employees of single businesses see only these: every route, every kind of id.

Alice is an owner of Acme Paris, and of nothing else. What belongs to Acme Boston does not exist for her.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from unittest import mock

import httpx2
import pytest
from sqlalchemy import select

from harness import api_objects
from harness.api_routes import SCOPED_ROUTES, Request, Route
from harness.employees import Hired, hire, problem
from harness.shop import WIDGET, Shop
from shopbell.accounts.roles import Roles
from shopbell.db.schema.core import metadata
from shopbell.http.request.principal import Principal

CANARY = "bostoncanary"
OPEN = [route for route in SCOPED_ROUTES if route.serves_single_businesses]
CLOSED = [route for route in SCOPED_ROUTES if not route.serves_single_businesses and route.path != WIDGET]
SHARED = ("employee", "template", "content of a template", "tag", "saved view", "action", "push subscription")
"""What belongs to no business: every employee of the organization sees it, or one alone."""
NAMES_OF_SHARED = re.compile(rf"(template |text |employee |e\.|tag |view ){CANARY}\w+")
NAMED = [route for route in OPEN if any(slot.kind not in SHARED for slot in route.slots)]
"""The open routes that accept the id of an object of a business."""
LISTS = [
    route
    for route in OPEN
    if str(route)
    in (
        "GET /api/businesses",
        "GET /api/customers",
        "GET /api/events",
        "GET /api/inbox/counts",
        "GET /api/inbox/threads",
    )
]
"""The open routes without ids that show what belongs to businesses; the others show what all employees see."""

each_open_route = pytest.mark.parametrize("route", OPEN, ids=str)
each_closed_route = pytest.mark.parametrize("route", CLOSED, ids=str)
each_named_route = pytest.mark.parametrize("route", NAMED, ids=str)


@dataclass(frozen=True)
class People:
    """Alice, and the id of one thing of each kind in either business.

    Args:
        alice: an owner of Paris alone, and of a second business.
        paris: what she may see.
        boston: what she may not; the canary stands in everything.
    """

    alice: Hired
    paris: dict[str, str]
    boston: dict[str, str]

    @classmethod
    def of(cls, shop: Shop) -> "People":
        """Make them."""
        own, foreign = _things(shop, shop.world.paris), _things(shop, shop.world.boston, CANARY)
        alice = hire(shop, roles=Roles(None, {int(shop.world.paris): "owner", int(own["business"]): "owner"}))
        return cls(alice, own | {"employee": str(alice.id)}, foreign | {"business": shop.world.boston})


def _things(shop: Shop, business_id: str, mark: str = "") -> dict[str, str]:
    ids = api_objects.make(shop, shop.world.token, business_id, mark)
    sent = {"customerThreadId": ids["thread"], "attachmentId": ids["attachment"]}
    assert shop.post(sent, path="/api/send-message-to-customer-thread").status_code == 200
    # An organization has a limited number of webhooks.
    assert shop.post({}, path=f"/api/webhooks/{ids['webhook']}/delete").status_code == 200
    return ids


_made: dict[int, People] = {}


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A server that delivers nothing, and lets one machine sign in often."""
    folder = tmp_path_factory.getbasetemp() / f"attachments-of-businesses-{engine}"
    settings = {"attachments_url": f"file://{folder}", "visitor_rate_per_min": 100_000}
    return shops(engine, run_worker="false", **settings)


@pytest.fixture
def people(shop: Shop) -> People:
    """The objects of the shop, created once for all tests."""
    if id(shop) not in _made:
        _made[id(shop)] = People.of(shop)
    return _made[id(shop)]


def _send(shop: Shop, alice: Hired, request: Request) -> httpx2.Response:
    headers = {"Cookie": alice.browser.cookie, "Sec-Fetch-Site": "same-origin"}
    return request.send(shop, None, **headers)


def _told(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, re.sub(r"urn:uuid:[0-9a-f-]+", "", answer.text)


def _foreign(boston: dict[str, str]) -> dict[str, str]:
    """The objects of Boston that she may not see. The id of a delivery says nothing."""
    left_out = ("delivery", api_objects.PRIVATE_KEY, *SHARED)
    return {kind: id_ for kind, id_ in boston.items() if kind not in left_out}


def _has_nothing_of(boston: dict[str, str], answer: httpx2.Response) -> None:
    seen = NAMES_OF_SHARED.sub("", answer.text)
    assert CANARY not in seen, answer.request.url
    assert not set(_foreign(boston).values()) & set(re.findall(r"\w+", seen)), answer.request.url


def _rows(shop: Shop) -> dict[str, list[object]]:
    """All rows, without the time of a session's last use."""
    rows = {}
    with shop.database.connection() as connection:
        for table in metadata.sorted_tables:
            columns = [column for column in table.c if column.name not in ("last_used_at_ms", "seen_at_ms")]
            found = connection.execute(select(*columns).order_by(*table.primary_key.columns))
            rows[table.name] = [tuple(row) for row in found]
    return rows


@each_closed_route
def test_a_route_that_declares_nothing_needs_the_permission_everywhere(
    shop: Shop, people: People, route: Route
) -> None:
    before = _rows(shop)
    for ids in (people.paris, people.boston):
        for request in route.requests(ids):
            answer = _send(shop, people.alice, request)
            assert answer.status_code == 403, answer.text
            assert answer.json()["developerMessage"] == f"Permission '{route.scope}' is missing"
    assert _rows(shop) == before


def _boston_is_hidden(shop: Shop, people: People, route: Route) -> None:
    """An id of any object of Boston gets the same response as an id of nothing."""
    for slot in route.slots:
        if slot.kind in SHARED:
            continue
        for request in route.requests(people.paris):
            nothing = _send(shop, people.alice, request.with_id(slot, api_objects.nobodys(slot.kind)))
            if slot.where == "query" and nothing.status_code == 200:
                assert [each for each in nothing.json().values() if each] == [], slot
            else:
                assert nothing.status_code == (400 if slot.name == "lastSeenMessageId" else 404), nothing.text
            for id_ in _foreign(people.boston).values():
                answer = _send(shop, people.alice, request.with_id(slot, id_))
                assert _told(answer) == _told(nothing), slot
                _has_nothing_of(people.boston, answer)


@each_named_route
def test_bostons_objects_do_not_exist_for_alice(shop: Shop, people: People, route: Route) -> None:
    before = _rows(shop)
    _boston_is_hidden(shop, people, route)
    assert _rows(shop) == before


def _answers_have_nothing_of_boston(shop: Shop, people: People, route: Route) -> None:
    for request in route.requests(people.paris):
        answer = _send(shop, people.alice, request)
        if route.path.endswith("/roles"):  # in the example, the role is one of the organization
            assert problem(answer) == (403, "/problems/role-not-allowed")
        elif route.path.startswith("/api/saved-views/"):  # it is another employee's
            assert problem(answer) == (403, "/problems/forbidden")
        elif route.path.startswith(("/api/inbox/undo", "/api/push-subscriptions/{")):  # it is another employee's
            assert problem(answer) == (404, "/problems/not-found")
        else:
            assert answer.status_code == 200, answer.text
        _has_nothing_of(people.boston, answer)


@each_open_route
def test_responses_to_alice_contain_nothing_of_boston(shop: Shop, people: People, route: Route) -> None:
    own = _things(shop, shop.world.paris) | {name: people.paris[name] for name in ("business", "employee")}
    _answers_have_nothing_of_boston(shop, replace(people, paris=own), route)


@pytest.fixture
def unprotected(engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A server of its own, because here Alice changes what is Boston's."""
    folder = tmp_path_factory.getbasetemp() / f"attachments-of-no-businesses-{engine}"
    settings = {"attachments_url": f"file://{folder}", "visitor_rate_per_min": 100_001}
    return shops(engine, run_worker="false", **settings)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("route", [*NAMED, *LISTS], ids=str)
def test_control_without_the_restriction_alice_sees_or_changes_what_is_bostons(unprotected: Shop, route: Route) -> None:
    people = People.of(unprotected)
    with mock.patch.object(Principal, "businesses_with", return_value=None), pytest.raises(AssertionError):  # noqa: PT012
        if route in NAMED:
            _boston_is_hidden(unprotected, people, route)
        _answers_have_nothing_of_boston(unprotected, people, route)


@pytest.mark.parametrize("path", ["/account", "/account/app", "/account/confirm", "/inbox", "/sign-in"])
def test_pages_for_alice_contain_nothing_of_boston(shop: Shop, people: People, path: str) -> None:
    answer = people.alice.browser.get(path)
    assert answer.status_code in (200, 303)
    _has_nothing_of(people.boston, answer)


def test_the_audit_page_needs_the_permission_everywhere(people: People) -> None:
    assert people.alice.browser.get("/account/audit").status_code == 403
