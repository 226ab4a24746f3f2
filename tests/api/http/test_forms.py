"""Forms with too many fields are a client error."""

import time
from collections.abc import Callable, Iterator

import httpx2
import pytest

from harness.installation import SECRET_KEY
from harness.shop import Shop, faults_of
from shopbell.customers.magic_links import CustomerLinks
from shopbell.email.answer_links import AnswerLinks, AnswerTarget, digest
from shopbell.http.request.forms import FIELDS_MAX
from shopbell.security.keys import Keys

KEYS = Keys((SECRET_KEY.encode(),))
BUSINESS = "boston@acme.example"
PAGE = {"sec-fetch-site": "same-origin"}


@pytest.fixture(params=[True, False], ids=["with files", "without files"])
def shop(
    request: pytest.FixtureRequest, engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory
) -> Shop:
    """A server that sends nothing, and keeps files or does not."""
    if not request.param and engine == "sqlite":  # it always keeps files
        engine = "postgresql"
    folder = tmp_path_factory.getbasetemp() / f"forms-{engine}"
    files = {"attachments_url": f"file://{folder}"} if request.param else {}
    return shops(engine, run_worker="false", **files)


@pytest.fixture
def thread_id(shop: Shop) -> str:
    """A conversation."""
    return shop.send()


@pytest.fixture
def carol(shop: Shop, thread_id: str) -> Iterator[httpx2.Client]:
    """The browser of a customer who has opened the page of the conversation."""
    (email,) = shop.identities(shop.customer_of(thread_id))["email"]
    thread = shop.thread(thread_id)
    with shop.database.connection() as tx:
        at = (thread["organization_id"], int(thread_id), "EMAIL", email)
        token = CustomerLinks(KEYS).make(tx, *at, now_ms=thread["created_at_ms"])
    with httpx2.Client(base_url=shop.server.url, trust_env=False, timeout=60, headers=PAGE) as client:
        assert client.post(f"/t/{token}").status_code == 303
        yield client


def _fields(count: int, **given: str) -> dict[str, str]:
    return given | {f"field{number}": "x" for number in range(count - len(given))}


def _answer_path(shop: Shop, thread_id: str) -> str:
    """The link with which the store answers."""
    shop.database.change("UPDATE businesses SET email = :m WHERE id = :id", m=BUSINESS, id=int(shop.world.boston))
    thread = shop.thread(thread_id)
    answering = AnswerTarget(thread["organization_id"], int(thread_id), thread["business_id"], digest(BUSINESS))
    return AnswerLinks(KEYS).link("", answering, now_s=int(time.time()))


def test_a_form_with_too_many_fields_is_400(shop: Shop, thread_id: str, carol: httpx2.Client) -> None:
    for path, given, accepted in (
        ("/t/new-link", {"token": "a" * 12}, 200),
        (f"/c/{thread_id}/notifications", {"notifications": "on"}, 303),
        (_answer_path(shop, thread_id), {"text": "Yes."}, 303),
    ):
        refused = carol.post(path, data=_fields(FIELDS_MAX + 1, **given))
        assert faults_of(refused) == {("body", "#", "too_long")}, path
        assert refused.json()["errors"][0]["maxLength"] == FIELDS_MAX
        assert carol.post(path, data=_fields(FIELDS_MAX, **given)).status_code == accepted, path


def test_form_errors_shown_on_a_page_have_status_400(shop: Shop, thread_id: str, carol: httpx2.Client) -> None:
    log_before = shop.server.log
    refused = carol.post(f"/c/{thread_id}/survey", data=_fields(FIELDS_MAX + 1))
    assert refused.status_code == 400
    assert refused.headers["content-type"].startswith("text/html")
    for count in (1, FIELDS_MAX, FIELDS_MAX + 1, 1_000):
        parts = {"text": (None, "Hello?"), **{name: (None, value) for name, value in _fields(count).items()}}
        refused = carol.post(f"/c/{thread_id}/messages", files=parts)
        assert refused.status_code == 400, count
        assert refused.headers["content-type"].startswith("text/html")
    assert len(shop.messages(thread_id)) == 1
    # The background jobs of other servers of this process write into the same log.
    bugs = [line for line in shop.server.log[len(log_before) :].splitlines() if "bug" in line and "request_id" in line]
    assert bugs == []


def test_a_form_that_reads_no_fields_accepts_any(shop: Shop, carol: httpx2.Client) -> None:
    assert carol.post("/t/" + "a" * 12, data=_fields(1_000)).status_code == 410
    assert carol.post("/unsubscribe/" + "a" * 12, data=_fields(1_000)).status_code == 404
