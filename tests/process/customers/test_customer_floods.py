"""A flood from one visitor is limited without affecting others."""

import re
import uuid
from collections.abc import Callable
from contextlib import ExitStack

import httpx2
import pytest

from harness.shop import Shop
from harness.streams import CUSTOMER_STREAM, listening_to
from harness.visitors import Browser, Site, acmes_site
from harness.waiting import wait_until

PER_MIN = 6
"""So 2 conversations at once, and 6 messages."""
STREAMS = PER_MIN * 4
SESSIONS = 4
"""More than enough for so many streams, at 8 of each."""


@pytest.fixture
def site(engine: str, shops: Callable[..., Shop]) -> Site:
    """A website on a server behind a proxy that tells the visitors' addresses, with small limits."""
    return acmes_site(shops(engine, run_worker="false", trusted_proxies="127.0.0.1", visitor_rate_per_min=PER_MIN))


def _at(address: str) -> dict[str, str]:
    return {"x-forwarded-for": address}


def _is_refused(answer: httpx2.Response, name: str) -> None:
    assert answer.status_code == 429, answer.text
    assert answer.json()["type"] == "/problems/quota-exceeded"
    assert answer.json()["developerMessage"] == f"Rate limit '{name}' exceeded"
    wait_s = int(answer.headers["retry-after"])
    assert 1 <= wait_s <= 60
    assert re.fullmatch(f'"{name}";q=[1-9][0-9]*;w=[1-9][0-9]*', answer.headers["ratelimit-policy"])
    assert answer.headers["ratelimit"] == f'"{name}";r=0;t={wait_s}'


def _say(browser: Browser, address: str) -> httpx2.Response:
    body = {"text": "x", "clientMessageId": str(uuid.uuid4())}
    headers = browser.headers | _at(address)
    return browser.shop.server.client.post("/api/customer/messages", json=body, headers=headers)


@pytest.mark.parametrize(
    ("one", "neighbour", "other"),
    [
        ("198.51.100.1", "198.51.100.1", "198.51.100.2"),
        ("2001:db8:1:1::1", "2001:db8:1:1:ffff::9", "2001:db8:1:2::1"),
    ],
)
def test_starting_too_many_conversations_is_refused_without_affecting_neighbours(
    site: Site, one: str, neighbour: str, other: str
) -> None:
    assert [site.begin(_at(one)).status_code for _ in range(2)] == [200, 200]
    before = site.shop.count("customers")
    for _ in range(5):  # in less than the time after which one may begin again
        _is_refused(site.begin(_at(neighbour)), "visitor")
    assert site.shop.count("customers") == before
    assert site.begin(_at(other)).status_code == 200


def test_customers_behind_one_address_can_all_turn_pages(site: Site) -> None:
    at = _at("198.51.100.20")
    tokens = [site.identity_token(sub=f"user-{uuid.uuid4().hex}") for _ in range(3)]
    carol = site.visitor(at, identityToken=tokens[0])
    dave = site.visitor(at, identityToken=tokens[1])
    for browser, token in ((carol, tokens[0]), (dave, tokens[1])):
        for _ in range(5):
            assert site.begin(at | browser.headers, identityToken=token).json()["sessionToken"] == browser.token
    # A session does not bypass the limit of new ones, neither for another customer nor for an unknown one.
    _is_refused(site.begin(at | carol.headers, identityToken=tokens[2]), "visitor")
    _is_refused(site.begin(at | carol.headers), "visitor")
    for _ in range(PER_MIN * 10):
        if site.begin(at | dave.headers, identityToken="a.b.c").status_code == 429:
            break
    _is_refused(site.begin(at | dave.headers, identityToken=tokens[1]), "session")


def test_a_forged_client_address_does_not_help(site: Site) -> None:
    last = "203.0.113.77"
    told = [site.begin(_at(f"192.0.2.{number}, {last}")).status_code for number in range(4)]
    assert told == [200, 200, 429, 429]


def test_writing_too_much_is_refused_without_affecting_others(site: Site) -> None:
    flood, carol = site.visitor(_at("198.51.100.11")), site.visitor(_at("198.51.100.12"))
    told = [_say(flood, "198.51.100.11").status_code for _ in range(10)]
    assert told[:2] == [200, 200]
    assert 429 in told
    # One session from many addresses is one, too.
    answers = [_say(flood, f"198.51.100.{number}") for number in range(20, 30)]
    _is_refused(answers[-1], "session")
    assert _say(carol, "198.51.100.12").status_code == 200


def test_guessing_links_or_requesting_new_ones_is_rate_limited(site: Site) -> None:
    client, page = site.shop.server.client, {"sec-fetch-site": "same-origin"}
    guesses = [client.get("/t/" + uuid.uuid4().hex[:12], headers=_at("198.51.100.41")) for _ in range(5)]
    assert [answer.status_code for answer in guesses[:2]] == [410, 410]
    _is_refused(guesses[-1], "visitor")
    asked = [
        client.post("/t/new-link", data={"token": "a" * 12}, headers=page | _at("198.51.100.42")) for _ in range(3)
    ]
    assert asked[0].status_code == 200
    _is_refused(asked[-1], "visitor")
    assert client.get("/t/" + "a" * 12, headers=_at("198.51.100.43")).status_code == 410


def test_opening_too_many_streams_is_refused_without_affecting_others(site: Site) -> None:
    one, other = _at("198.51.100.1"), _at("198.51.100.2")
    browsers = [site.visitor(_at(f"192.0.2.{number}")) for number in range(SESSIONS)]
    for number, browser in enumerate(browsers):
        assert _say(browser, f"192.0.2.{number}").status_code == 200

    def again() -> httpx2.Response:
        client, headers = site.shop.server.client, browsers[-1].headers | one
        with client.stream("GET", CUSTOMER_STREAM, headers=headers) as answer:
            if answer.status_code != 200:
                answer.read()
            return answer

    with ExitStack() as stack:
        for number in range(STREAMS):
            headers = browsers[number % (SESSIONS - 1)].headers | one
            stack.enter_context(listening_to(site.shop, CUSTOMER_STREAM, headers)).until_ready()
        _is_refused(again(), "visitor")
        with listening_to(site.shop, CUSTOMER_STREAM, browsers[-1].headers | other) as stream:
            stream.until_ready()
    wait_until(lambda: again().status_code == 200, lambda: "no stream may be opened again")
