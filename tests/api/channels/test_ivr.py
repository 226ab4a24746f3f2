"""The IVR hook texts a welcome to callers and routes their calls."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from harness.sent_messages import Post
from harness.shop import Shop
from harness.smtp import SmtpServer
from harness.waiting import wait_until
from harness.world import GLOBEX_CANARY
from shopbell.i18n.translations import LANGUAGES

NUMBER = "+16175550100"
FORWARD = "+16175550101"
DIAL = f"<Response><Dial>{FORWARD}</Dial></Response>"
NO_BUSINESS = (
    '<Response><Say language="en">Sorry, this number is not linked to any store</Say>'
    '<Say language="fr">Désolé, ce numéro n\'est lié à aucun magasin</Say></Response>'
)


@pytest.fixture
def post(engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """A shop whose texts go into a folder; Boston has a number, and one that calls are put through to."""
    folder = tmp_path_factory.getbasetemp() / f"ivr-{engine}"
    shop = shops(engine, sms_provider="folder", mail_outbox=folder, sms_cooldown_s=0, poll_interval_s=0.2)
    post = Post(shop, SmtpServer(), folder)
    post.business(phone_number=NUMBER, voice_forward_number=FORWARD)
    return post


def call(post: Post, **given: str) -> httpx2.Response:
    """What a phone system asks; the key is Acme's unless given."""
    return post.shop.server.client.get("/v1/ivr", params={"key": post.shop.world.token, **given})


def xml(answer: httpx2.Response) -> str:
    """The XML of an answer, which must be 200."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    return answer.text


def texts_to(post: Post, number: str) -> list[dict[str, Any]]:
    """The texts that a number was sent."""
    return [text for text in post.texts() if text["to"] == number]


def test_a_call_is_put_through_and_the_caller_is_sent_a_welcome(post: Post) -> None:
    caller = post.shop.some_number()
    assert xml(call(post, **{"from": caller, "to": NUMBER, "context": "open"})) == DIAL
    wait_until(lambda: texts_to(post, caller), lambda: f"{post.texts()}\n{post.shop.server.log}")
    (text,) = texts_to(post, caller)
    assert (
        text["text"]
        == "Acme Boston: thank you for calling. Reply to this text with your question and we will get back to you."
    )
    assert text["from"] == NUMBER


def test_a_call_opens_a_conversation_by_sms_with_the_welcome_in_it(post: Post) -> None:
    caller = post.shop.some_number()
    call(post, **{"from": caller, "to": NUMBER})
    found = post.shop.server.client.get(
        "/api/customers", params={"phoneNumber": caller}, headers={"token": post.shop.world.token}
    ).json()["customers"]
    (customer,) = found
    threads = post.shop.server.client.get(
        "/api/threads", params={"customerId": customer["id"]}, headers={"token": post.shop.world.token}
    ).json()["threads"]
    (thread,) = threads
    (message,) = post.messages(thread["customerThreadId"])
    assert (thread["customerChannel"], thread["status"]) == ("SMS", "replied")
    assert (message["fromCustomer"], message["internal"]) == (False, False)
    post.wait_for_delivery(message["id"], "SMS", "sent")


def test_a_second_call_sends_no_second_welcome(post: Post) -> None:
    caller = post.shop.some_number()
    for _ in range(3):
        assert xml(call(post, **{"from": caller, "to": NUMBER})) == DIAL
    rows = post.shop.database.rows("SELECT * FROM outbound_messages WHERE address = :address", address=caller)
    assert [row["purpose"] for row in rows] == ["welcome"]


def test_a_phone_system_can_post_json(post: Post) -> None:
    caller = post.shop.some_number()
    body = {"key": post.shop.world.token, "from": caller, "to": NUMBER}
    assert xml(post.shop.post(body, token=None, path="/v1/ivr")) == DIAL


def test_without_a_forwarding_number_the_documented_sentences_are_spoken(post: Post) -> None:
    post.business(voice_forward_number=None)
    assert xml(call(post, **{"from": post.shop.some_number(), "to": NUMBER})) == (
        '<Response><Say language="en">Sorry, this store did not define voice call forwarding</Say>'
        '<Say language="fr">Désolé, ce magasin n\'a pas défini de numéro vocal</Say></Response>'
    )


def test_an_unknown_number_gets_the_documented_sentences(post: Post) -> None:
    assert xml(call(post, **{"from": post.shop.some_number(), "to": "+16175550999"})) == NO_BUSINESS


@pytest.mark.parametrize("path", ["/v1/ivr", "/v1/ivr/"])
def test_a_slash_at_the_end_is_optional(post: Post, path: str) -> None:
    given = {"key": post.shop.world.token, "from": post.shop.some_number(), "to": NUMBER}
    assert xml(post.shop.server.client.get(path, params=given)) == DIAL
    assert xml(post.shop.post(given, token=None, path=path)) == DIAL


def test_the_context_of_each_call_is_stored_as_a_note(post: Post) -> None:
    caller = post.shop.some_number()
    for context in ("OPT_IN", "  ", "campaign <spring> é", "OPT_IN"):
        assert xml(call(post, **{"from": caller, "to": NUMBER, "context": context})) == DIAL
    query = "SELECT thread_id FROM outbound_messages WHERE address = :address AND purpose = 'welcome'"
    thread_id = str(post.shop.database.value(query, address=caller))
    post.decided()
    messages = post.messages(thread_id)
    assert [(message["internal"], message["text"]) for message in messages] == [
        (True, "Phone call. Context: OPT_IN"),
        (
            False,
            "Acme Boston: thank you for calling. Reply to this text with your question and we will get back to you.",
        ),
        (True, "Phone call. Context: campaign <spring> é"),
        (True, "Phone call. Context: OPT_IN"),
    ]
    assert [message["deliveries"] == [] for message in messages] == [True, False, True, True]


@pytest.mark.parametrize(
    ("context", "code"), [("x" * 501, "too_long"), (7, "type"), ({"a": 1}, "type"), ("a\0b", "invalid_character")]
)
def test_a_context_that_cannot_be_stored_is_refused(post: Post, context: object, code: str) -> None:
    body = {"key": post.shop.world.token, "from": post.shop.some_number(), "to": NUMBER, "context": context}
    answer = post.shop.post(body, token=None, path="/v1/ivr")
    assert answer.status_code == 400
    assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == [("#/context", code)]


def test_another_organizations_number_is_treated_as_unknown(post: Post) -> None:
    number = "+442079460000"
    post.shop.database.change(
        "UPDATE businesses SET phone_number = :number, voice_forward_number = :number WHERE id = :id",
        number=number,
        id=int(post.shop.world.london),
    )
    answer = call(post, **{"from": post.shop.some_number(), "to": number})
    assert xml(answer) == NO_BUSINESS
    assert GLOBEX_CANARY not in answer.text


@pytest.mark.parametrize("hidden", [{}, {"from": ""}, {"from": "anonymous"}])
def test_a_caller_with_a_hidden_number_hears_why_no_text_is_sent(post: Post, hidden: dict[str, str]) -> None:
    assert "Your number is withheld" in xml(call(post, to=NUMBER, **hidden))


@pytest.mark.parametrize(
    ("locale", "spoken"),
    [("en-GB", ["en", "fr"]), ("fr", ["fr", "en"])]
    + [(tag, [tag, "en", "fr"]) for tag in LANGUAGES if tag not in ("en", "fr")],
)
def test_a_hidden_number_is_explained_in_the_language_of_the_business_first(
    post: Post, locale: str, spoken: list[str]
) -> None:
    post.business(locale=locale)
    answer = xml(call(post, to=NUMBER))
    assert re.findall('<Say language="([^"]+)">', answer) == spoken
    assert len(set(re.findall(">([^<>]+)</Say>", answer))) == len(spoken)


def test_a_blocked_caller_is_forwarded_and_sent_nothing(post: Post) -> None:
    caller = post.shop.some_number()
    thread_id = post.shop.send(user={"phoneNumber": caller})
    post.decided()
    customer_id = post.shop.database.value("SELECT customer_id FROM threads WHERE id = :id", id=int(thread_id))
    post.shop.post({}, path=f"/api/customers/{customer_id}/block")
    assert xml(call(post, **{"from": caller, "to": NUMBER})) == DIAL
    query = "SELECT count(*) FROM outbound_messages WHERE address = :address AND purpose = 'welcome'"
    assert post.shop.database.value(query, address=caller) == 0


@pytest.mark.parametrize("key", ["", "sb_live_stranger", "ключ"])
def test_an_unauthenticated_request_gets_the_standard_error(post: Post, key: str) -> None:
    answer = call(post, key=key, **{"from": NUMBER, "to": NUMBER})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["developerMessage"] == "Header 'token' is not a valid API token"


def test_a_token_without_write_scope_is_refused(post: Post) -> None:
    answer = call(post, key=post.shop.world.reading_token, **{"from": NUMBER, "to": NUMBER})
    assert answer.status_code == 403


@pytest.mark.parametrize("wrong", ["6175550100", "+0175550100", "+1617555010012345678", "+1617call", "+999123456789"])
def test_a_number_that_is_not_e164_is_named_and_not_repeated(post: Post, wrong: str) -> None:
    answer = call(post, **{"from": wrong, "to": wrong})
    assert answer.status_code == 400
    faults = answer.json()["errors"]
    assert [(fault["in"], fault["name"], fault["code"]) for fault in faults] == [
        ("query", "from", "invalid_phone_number"),
        ("query", "to", "invalid_phone_number"),
    ]
    assert wrong not in answer.text


def test_a_call_without_required_fields_names_them(post: Post) -> None:
    answer = post.shop.post({"key": post.shop.world.token, "from": NUMBER}, token=None, path="/v1/ivr")
    assert answer.status_code == 400
    (fault,) = answer.json()["errors"]
    assert (fault["in"], fault["pointer"], fault["code"]) == ("body", "#/to", "required")
