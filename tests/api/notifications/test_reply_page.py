"""The reply page that a notification links to."""

import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import Any

import httpx2
import pytest

from harness.sent_messages import Post
from harness.smtp import Received
from harness.visitors import acmes_site
from harness.waiting import wait_until

BUSINESS = "boston@acme.example"


@pytest.fixture
def told(post: Post) -> tuple[Post, str, str, str]:
    """A store that was mailed: the post, the conversation, its customer's address, and the link's path."""
    post.business(email=BUSINESS, invites_customers=False)
    carol = post.shop.somebody()
    thread_id = post.shop.send(user={"email": carol}, message="Is my <b>bicycle</b> ready?")
    mail = _mail_to(post, BUSINESS)
    text = mail.message.get_body(("plain",)).get_content()
    (path,) = re.findall(r"https?://[^/\s]+(/answer/[a-z2-7]+)", text)
    return post, thread_id, carol, path


def _mail_to(post: Post, address: str) -> Received:
    found: list[Received] = []

    def has_come() -> bool:
        found[:] = [mail for mail in post.mails.received if mail.recipients == (address,)]
        return bool(found)

    wait_until(has_come, lambda: post.shop.server.log)
    return found[0]


def _send(post: Post, path: str, text: str, hidden: dict[str, str] | None = None, **headers: str) -> httpx2.Response:
    return post.shop.server.client.post(path, data={"text": text, **(hidden or {})}, headers=headers)


def _hidden(post: Post, path: str) -> dict[str, str]:
    """What the page's form sends beside the text."""
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', post.shop.server.client.get(path).text))
    assert set(fields) == {"seen", "form"}
    return fields


def test_an_employee_reads_the_conversation_and_replies_through_the_link(told: tuple[Post, str, str, str]) -> None:
    post, thread_id, carol, path = told
    shown = post.shop.server.client.get(path)
    assert shown.status_code == 200
    assert "Is my &lt;b&gt;bicycle&lt;/b&gt; ready?" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert post.messages(thread_id)[1:] == []  # looking changes nothing
    sent = _send(post, path, "Tomorrow at ten.", _hidden(post, path))
    assert (sent.status_code, f"{path}?sent".endswith(sent.headers["location"])) == (303, True)
    confirmed = unescape(post.shop.server.client.get(f"{path}?sent").text)
    assert f"Your reply has been sent to {carol}." in confirmed
    assert f"Your reply has been sent to {carol}." not in unescape(shown.text)
    answer = post.messages(thread_id)[1]
    assert (answer["text"], answer["fromCustomer"], answer["employeeUserId"]) == ("Tomorrow at ten.", False, None)
    assert post.actor_of(answer) == {"type": "employee", "id": None}
    assert "Tomorrow at ten." in unescape(post.shop.server.client.get(path).text)
    mail = _mail_to(post, carol)
    assert "Tomorrow at ten." in mail.message.get_body(("plain",)).get_content()


def test_email_and_page_mark_a_contact_that_is_only_claimed(open_post: Any) -> None:
    with open_post(mail_batch_s=3_600) as post:
        post.business(email=BUSINESS, invites_customers=False)
        visitor, email = acmes_site(post.shop).visitor(), post.shop.somebody()
        visitor.say(text="Is my bicycle ready?")
        assert visitor.post("identify", email=email).status_code == 200
        post.let_time_pass()
        mail = _mail_to(post, BUSINESS)
        assert mail.message["Subject"] == f"{email} (not confirmed): Is my bicycle ready?"
        (path,) = re.findall(r"https?://[^/\s]+(/answer/[a-z2-7]+)", mail.message.get_body(("plain",)).get_content())
        assert f"{email} (not confirmed)" in unescape(post.shop.server.client.get(path).text)


def test_a_late_reply_shows_the_colleagues_message_and_keeps_the_text(told: tuple[Post, str, str, str]) -> None:
    post, thread_id, _, path = told
    found = _hidden(post, path)
    post.reply(thread_id, "It is ready.")
    late = _send(post, f"{path}?sent", "Not yet.", found)
    assert late.status_code == 409
    assert "Someone replied first. Review their message and send yours again." in late.text
    assert "Your reply has been sent" not in late.text
    assert "It is ready." in late.text
    assert "Not yet.</textarea>" in late.text
    assert [message["text"] for message in post.messages(thread_id)[1:]] == ["It is ready."]
    assert _send(post, path, "It is, indeed.", _hidden(post, path)).status_code == 303


def test_a_colleague_with_the_same_email_still_conflicts(told: tuple[Post, str, str, str]) -> None:
    post, thread_id, _, path = told
    alices, bobs = _hidden(post, path), _hidden(post, path)
    assert _send(post, path, "Yes, from ten.", alices).status_code == 303
    late = _send(post, path, "No, we are closed.", bobs)
    assert late.status_code == 409
    assert "Yes, from ten." in late.text
    assert "No, we are closed.</textarea>" in late.text
    nothing_seen = _send(post, path, "No, we are closed.")
    assert nothing_seen.status_code == 409
    assert [message["text"] for message in post.messages(thread_id)[1:]] == ["Yes, from ten."]


def test_submitting_a_form_twice_sends_one_message(told: tuple[Post, str, str, str]) -> None:
    post, thread_id, _, path = told
    form = _hidden(post, path)
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: _send(post, path, "Yes, from ten.", form).status_code, range(4)))
    post.reply(thread_id, "And on Sunday.")
    reloaded = _send(post, path, "Yes, from ten.", form)
    assert [*sent, reloaded.status_code] == [303] * 5
    changed = _send(post, path, "Yes, from eleven.", form)
    assert (changed.status_code, "Yes, from eleven.</textarea>" in changed.text) == (409, True)
    assert _send(post, path, "Yes, from ten.", _hidden(post, path)).status_code == 303  # said once more, on purpose
    said = [message["text"] for message in post.messages(thread_id)[1:]]
    assert said == ["Yes, from ten.", "And on Sunday.", "Yes, from ten."]


def test_going_back_and_sending_another_text_sends_another_message(told: tuple[Post, str, str, str]) -> None:
    post, thread_id, _, path = told
    form = _hidden(post, path)
    texts = ["Yes, from ten.", "Bring the receipt.", "And the key."]
    assert [_send(post, path, text, form).status_code for text in texts] == [303] * 3
    assert [message["text"] for message in post.messages(thread_id)[1:]] == texts
    post.reply(thread_id, "The key is here.")
    late = _send(post, path, "No key, then.", form)
    assert (late.status_code, "The key is here." in late.text) == (409, True)


def test_blank_too_long_and_cross_site_submissions_are_refused(told: tuple[Post, str, str, str]) -> None:
    post, thread_id, _, path = told
    assert _send(post, path, "  ").status_code == 400
    assert _send(post, path, "x" * 10_001).status_code == 400
    assert _send(post, path, "Pay here.", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert post.messages(thread_id)[1:] == []


@pytest.mark.parametrize(
    "changes", [{"email": "other@acme.example"}, {"tells_store": False}, {"deactivated_at_ms": 1}], ids=str
)
def test_a_link_expires_when_its_address_is_no_longer_notified(
    told: tuple[Post, str, str, str], changes: dict[str, object]
) -> None:
    post, thread_id, _, path = told
    post.business(**changes)
    assert post.shop.server.client.get(path).status_code == 404
    assert _send(post, path, "Tomorrow.").status_code == 404
    assert post.messages(thread_id)[1:] == []


def test_a_link_expires_when_the_conversation_is_transferred(told: tuple[Post, str, str, str]) -> None:
    post, thread_id, _, path = told
    query = "UPDATE threads SET business_id = :paris WHERE id = :id"
    post.shop.database.change(query, paris=int(post.shop.world.paris), id=int(thread_id))
    change = "UPDATE businesses SET email = :email WHERE id = :id"
    post.shop.database.change(change, email=BUSINESS, id=int(post.shop.world.paris))
    assert post.shop.server.client.get(path).status_code == 404
    assert _send(post, path, "Tomorrow.").status_code == 404


def test_trying_many_links_is_rate_limited(open_post: Any) -> None:
    with open_post(visitor_rate_per_min=12) as post:
        tries = [post.shop.server.client.get("/answer/aaaaaaaaaaaa").status_code for _ in range(10)]
    assert set(tries) == {404, 429}


def test_an_unknown_link_opens_nothing(told: tuple[Post, str, str, str]) -> None:
    post, _, _, path = told
    token = path.rpartition("/")[2]
    browser = {"Accept": "text/html", "Accept-Language": "de"}
    for wrong in (
        "a" * len(token),
        token[:-1],
        token[:-2] + ("a" if token[-2] != "a" else "b") + token[-1],
        "1",
        token + "aa",
    ):
        shown = post.shop.server.client.get(f"/answer/{wrong}", headers=browser)
        assert (shown.status_code, shown.headers["cache-control"]) == (404, "no-store")
        assert "<h1>Dieser Link funktioniert nicht</h1>" in shown.text
        assert _send(post, f"/answer/{wrong}", "Hello").status_code == 404
