"""The contact forms of docs/client.md, served by each framework, with the requests that a browser sends."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook
from websites import (
    FRAMEWORKS,
    SECRET,
    Site,
    customers_messages,
    documented,
    of_shop,
    serving,
)

from harness.ports import free_port
from harness.shop import Shop

RECEIVERS = {
    "django": """
from django.urls import path
from shopbell_client.django import webhook_view
urlpatterns = [path("shopbell-events", webhook_view(SECRET, receive))]
""",
    "flask": """
from flask import Flask
from shopbell_client.flask import webhook_blueprint
app = Flask(__name__)
app.register_blueprint(webhook_blueprint(SECRET, receive))
""",
    "fastapi": """
from fastapi import FastAPI
from shopbell_client.fastapi import webhook_router
app = FastAPI()
app.include_router(webhook_router(SECRET, receive))
""",
}
RECEIVE = f"""
SECRET = {SECRET!r}
def receive(event):
    print(event.id, event.thread_id, flush=True)
    if event.thread_id == "13":
        raise RuntimeError("not now")
"""


Sites = Callable[[Shop, str], Site]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Returns the running site of a framework, and starts it first if needed."""
    running: dict[tuple[str, str], Site] = {}
    with ExitStack() as stack:

        def site(shop: Shop, framework: str) -> Site:
            key = (shop.server.url, framework)
            if key not in running:
                program, environment = of_shop(documented(framework), shop)
                folder = tmp_path_factory.mktemp(framework)
                running[key] = stack.enter_context(serving(framework, program, folder, **environment))
            return running[key]

        yield site


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    """The name of a framework."""
    name: str = request.param
    return name


@pytest.fixture
def site(sites: Sites, shop: Shop, framework: str) -> Site:
    """The documented site, in front of a server on each engine."""
    return sites(shop, framework)


def test_a_submitted_form_sends_a_message(site: Site, shop: Shop) -> None:
    email, text = shop.somebody(), 'Où êtes-vous ? <b>"&amp;"</b>\nMerci 👋'
    answer = site.post(message=text, email=f" {email} ", phone="")
    assert answer.status_code == 200
    assert "We have received your message" in answer.text
    (stored,) = customers_messages(shop, email)
    assert stored.splitlines() == text.splitlines()


def test_the_visitors_language_is_stored(site: Site, shop: Shop) -> None:
    email = shop.somebody()
    site.post(message="Bonjour", email=email)
    locale = shop.database.value(
        "SELECT c.locale FROM customers c JOIN customer_identities i ON i.customer_id = c.id WHERE i.value = :email",
        email=email,
    )
    assert locale == "en-GB"


def test_a_phone_number_alone_is_enough(site: Site, shop: Shop) -> None:
    number = shop.some_number()
    assert site.post(message="Please call me", phone=f" {number} ").status_code == 200
    assert customers_messages(shop, number) == ["Please call me"]


def test_a_script_can_send_json(site: Site, shop: Shop) -> None:
    email = shop.somebody()
    answer = site.post_json({"message": "Hello", "email": email, "phone": None})
    assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    assert customers_messages(shop, email) == ["Hello"]


def test_a_form_that_is_submitted_twice_sends_one_message(site: Site, shop: Shop) -> None:
    email = shop.somebody()
    form = site.form() | {"message": "Once only, please", "email": email}
    with ThreadPoolExecutor(2) as pool:
        twice = list(pool.map(lambda _: site.send(form), range(2)))
    twice.append(site.send(form))  # the page is reloaded
    assert [(answer.status_code, "We have received your message" in answer.text) for answer in twice] == [
        (200, True)
    ] * 3
    assert site.send(form | {"message": "And this"}).status_code == 200  # after "back", the browser shows the same form
    assert customers_messages(shop, email) == ["Once only, please", "And this"]


def test_a_form_keeps_its_id_after_a_validation_error(site: Site) -> None:
    form = site.form()
    corrected = site.send(form | {"message": "Hello", "email": "carol@"})
    assert corrected.status_code == 400
    assert f'name="clientMessageId" value="{form["clientMessageId"]}"' in corrected.text
    assert site.form()["clientMessageId"] != form["clientMessageId"]


def test_a_script_that_sends_an_id_twice_sends_one_message(site: Site, shop: Shop) -> None:
    email = shop.somebody()
    said = {"message": "Hello", "email": email}
    for more in ({"clientMessageId": str(uuid.uuid4())}, {}, {"clientMessageId": "none"}):
        for _ in range(2):
            assert site.post_json(said | more).status_code == 200
    assert customers_messages(shop, email) == ["Hello"] * 5


def test_invalid_fields_are_marked_and_keep_their_values(site: Site) -> None:
    answer = site.post(message='I lost my "<key>"', email="carol@", phone="1")
    assert answer.status_code == 400
    assert answer.text.count('aria-invalid="true"') == 2
    assert "Please enter a valid email address." in answer.text
    assert "Please enter a valid phone number." in answer.text
    assert "<key>" not in answer.text
    assert 'I lost my "<key>"' in unescape(answer.text)
    assert 'value="carol@"' in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_an_email_address_or_phone_number_is_required(site: Site) -> None:
    answer = site.post(message="Hello")
    assert answer.status_code == 400
    assert "Please enter an email address or a phone number" in answer.text


def test_a_script_receives_the_invalid_fields(site: Site) -> None:
    answer = site.post_json({"message": " ", "email": "carol@"})
    assert answer.status_code == 400
    assert answer.json() == {
        "errors": {"message": "Please enter a message.", "email": "Please enter a valid email address."}
    }


def test_a_visitor_reads_the_form_and_its_errors_in_their_language(site: Site) -> None:
    french = {"Accept-Language": "fr-CA,fr;q=0.9,en;q=0.8"}
    page = site.browser.get("/contact", headers=french).text
    assert '<html lang="fr">' in page
    assert "Votre adresse e-mail" in page
    assert site.post_json({"message": " ", "email": "carol@customers.example"}, **french).json() == {
        "errors": {"message": "Veuillez saisir un message."}
    }


@pytest.mark.parametrize(
    "said",
    [b"", b"{", b"[]", b"[" * 9_999, b'"a"', b'{"message": 1}', b"\xff", b'{"email": []}', b'{"message": "\\ud800"}'],
)
def test_invalid_json_is_refused(site: Site, said: bytes) -> None:
    assert site.post_json(said).status_code == 400


def test_requests_from_other_sites_are_refused(site: Site, shop: Shop) -> None:
    email = shop.somebody()
    for said in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        with httpx2.Client(base_url=site.origin, trust_env=False, timeout=60) as victim:
            answer = victim.post("/contact", data={"message": "Hello", "email": email}, headers=said)
            assert answer.status_code == 403
            answer = victim.post("/contact", json={"message": "Hello", "email": email}, headers=said)
            assert answer.status_code == 403
    assert customers_messages(shop, email) == []


def test_a_message_that_is_too_long_is_refused(site: Site, framework: str, shop: Shop) -> None:
    email = shop.somebody()
    answer = site.post_json({"message": "a" * 10_001, "email": email})
    assert (answer.status_code, answer.json()) == (400, {"errors": {"message": "This text is too long."}})
    # Django's own limit is higher, so the server refuses the message.
    for length, status in ((300_000, {"django": 400}), (3_000_000, {"django": 400})):
        answer = site.post_json({"message": "a" * length, "email": email})
        assert answer.status_code == status.get(framework, 413)
    assert customers_messages(shop, email) == []


def test_other_methods_are_refused(site: Site) -> None:
    assert site.browser.put("/contact").status_code in (403, 405)  # Django checks its CSRF token first


def test_no_page_holds_the_token(site: Site, shop: Shop) -> None:
    pages = [site.browser.get("/contact"), site.post(message=" "), site.post(message="Hello", email=shop.somebody())]
    said = "".join(f"{page.text} {page.headers}" for page in pages) + site.log
    assert shop.world.second_token not in said


@pytest.mark.parametrize("wrong", ["token", "business", "no business", "address"])
def test_configuration_errors_are_logged_and_not_shown_to_visitors(
    framework: str, wrong: str, shops: Callable[..., Shop], tmp_path: Path
) -> None:
    shop = shops("sqlite")
    program, environment = of_shop(documented(framework), shop)
    if wrong == "token":
        environment["SHOPBELL_TOKEN"] = shop.world.revoked_token
    elif wrong == "business":
        program = program.replace(shop.world.boston, shop.world.london)
    elif wrong == "no business":
        program = program.replace(shop.world.boston, "Boston")
    else:
        environment["SHOPBELL_URL"] = f"http://127.0.0.1:{free_port()}"
    with serving(framework, program, tmp_path, **environment) as site:
        page = site.post(message="the number of my safe is twelve", email="carol@example.com")
        answer = site.post_json({"message": "the number of my safe is twelve", "email": "carol@example.com"})
        log = site.log
    assert (page.status_code, answer.status_code) == (503, 503)
    assert "could not be sent" in page.text
    assert "the number of my safe is twelve" in page.text  # so that the visitor can send it again
    assert list(answer.json()["errors"]) == ["form"]
    reason = {
        "token": "401 unauthorized",
        "business": "403 business-not-in-organization",
        "no business": "400 validation-error: Field 'businessId'",
        "address": "ConnectError",
    }[wrong]
    assert log.count(reason) >= 2
    assert not [word for word in (environment["SHOPBELL_TOKEN"], "twelve", "carol") if word in log]
    assert environment["SHOPBELL_TOKEN"] not in page.text + answer.text


def test_djangos_csrf_protection_works_without_its_middleware(shops: Callable[..., Shop], tmp_path: Path) -> None:
    program, environment = of_shop(documented("django"), shops("sqlite"))
    with serving("django", program, tmp_path, CSRF_MIDDLEWARE="off", **environment) as site:
        fields = {"message": "Hello", "email": "carol@example.com"}
        assert site.browser.post("/contact", data=fields).status_code == 403
        assert site.post(**fields).status_code == 200


def event(thread_id: int, *, event_id: str = "evt_1", secret: str = SECRET) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a signed webhook request."""
    transfer: dict[str, Any] = {"customerThreadId": thread_id, "organizationId": 2, "customerId": "3"}
    transfer |= {"fromBusinessId": 4, "toBusinessId": 5, "employeeUserId": None}
    body = json.dumps({"eventType": "transfer", "timestamp": 1, "data": transfer}).encode()
    now = datetime.fromtimestamp(int(time.time()), UTC)
    headers = {"webhook-id": event_id, "webhook-timestamp": str(int(now.timestamp()))}
    headers["webhook-signature"] = Webhook(secret).sign(event_id, now, body.decode())
    return body, headers | {"Content-Type": "application/json"}


def test_only_signed_events_are_received(framework: str, tmp_path: Path) -> None:
    with serving(framework, RECEIVE + RECEIVERS[framework], tmp_path) as site:
        body, headers = event(12, secret="whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
        assert site.browser.post("/shopbell-events", content=body, headers=headers).status_code == 401
        assert site.browser.post("/shopbell-events", content=body).status_code == 401
        body, headers = event(12)
        assert site.browser.post("/shopbell-events", content=body, headers=headers).status_code == 204
        assert site.line() == "evt_1 12"
        assert site.browser.get("/shopbell-events").status_code == 405
        body, headers = event(13, event_id="evt_2")
        assert site.browser.post("/shopbell-events", content=body, headers=headers).status_code == 500
        assert site.line() == "evt_2 13"


def test_a_site_with_an_invalid_secret_does_not_start(framework: str, tmp_path: Path) -> None:
    program = RECEIVE.replace(SECRET, "whsec_a") + RECEIVERS[framework]
    with pytest.raises(AssertionError, match="base64"), serving(framework, program, tmp_path):
        pass
