"""Links to a conversation, and their page without scripts."""

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import httpx2
import pytest

from harness.installation import SECRET_KEY
from harness.shop import Shop
from harness.visitors import acmes_site
from shopbell.customers.magic_links import CustomerLinks
from shopbell.security.keys import Keys

PAGE = {"sec-fetch-site": "same-origin"}
SHOWN = 200
LONG = 450
"""More than the page shows, and than the transcript is read in at once."""


@dataclass
class Reader:
    """A browser that has only cookies."""

    shop: Shop
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx2.Client(base_url=self.shop.server.url, trust_env=False, timeout=60)

    def open(self, token: str) -> httpx2.Response:
        """Press the button of a link's page."""
        return self.client.post(f"/t/{token}", headers=PAGE)

    def page(self, thread_id: str) -> httpx2.Response:
        """Look at a conversation."""
        return self.client.get(f"/c/{thread_id}")

    def send(self, thread_id: str, text: str, *file: Any, **headers: str) -> httpx2.Response:
        """Send the form of a conversation's page."""
        parts: dict[str, Any] = {"text": (None, text), "file": file or ("", b"", "application/octet-stream")}
        return self.client.post(f"/c/{thread_id}/messages", files=parts, headers=headers or PAGE)


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A server that keeps files and sends nothing."""
    folder = tmp_path_factory.getbasetemp() / f"visitors-{engine}"
    mails = {"smtp_url": "smtp://127.0.0.1:25", "mail_from": "shop@acme.example"}
    return shops(engine, run_worker="false", attachments_url=f"file://{folder}", **mails)


@pytest.fixture
def carol(shop: Shop) -> Iterator[Reader]:
    """Carol's browser."""
    reader = Reader(shop)
    yield reader
    reader.client.close()


@pytest.fixture
def stranger(shop: Shop) -> Iterator[Reader]:
    """The browser of a stranger."""
    reader = Reader(shop)
    yield reader
    reader.client.close()


def _link(shop: Shop, thread_id: str, address: str, channel: str = "EMAIL", *, now_ms: int | None = None) -> str:
    """A link as a mail or a text has it."""
    with shop.database.connection() as tx:
        made = CustomerLinks(Keys((SECRET_KEY.encode(),)))
        organization_id = shop.thread(thread_id)["organization_id"]
        at_ms = shop.thread(thread_id)["created_at_ms"] if now_ms is None else now_ms
        return made.make(tx, organization_id, int(thread_id), channel, address, now_ms=at_ms)


def _conversation(shop: Shop, message: str = "from the form", **user: str) -> tuple[str, str]:
    email = shop.somebody()
    return shop.send(user={"email": email, **user}, message=message), email


def _is_locked_away(answer: httpx2.Response) -> None:
    headers = answer.headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-robots-tag"] == "noindex"
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def test_viewing_a_link_any_number_of_times_has_no_effect(shop: Shop, carol: Reader, stranger: Reader) -> None:
    thread_id, email = _conversation(shop)
    token = _link(shop, thread_id, email)
    for _ in range(3):
        assert stranger.client.head(f"/t/{token}").status_code == 200
        shown = stranger.client.get(f"/t/{token}")
        assert shown.status_code == 200
        assert not shown.headers.get_list("set-cookie")
        _is_locked_away(shown)
        assert f"{email[0]}•••@example.com" in unescape(shown.text)
        assert not re.search(f"{re.escape(email)}|from the form", unescape(shown.text))
    assert carol.open(token).status_code == 303


def test_the_button_opens_the_conversation_once_and_only_in_this_browser(
    shop: Shop, carol: Reader, stranger: Reader
) -> None:
    thread_id, email = _conversation(shop)
    token = _link(shop, thread_id, email)
    opened = carol.open(token)
    assert (opened.status_code, opened.headers["location"]) == (303, f"../c/{thread_id}")
    cookie = opened.headers["set-cookie"].lower()
    assert cookie.startswith(f"sb_{thread_id}=sbs_")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    page = carol.page(thread_id)
    assert page.status_code == 200
    assert "from the form" in page.text
    _is_locked_away(page)
    assert stranger.open(token).status_code == 410
    assert stranger.page(thread_id).status_code == 410
    # Once more from the mail: there is nothing left for the link to do.
    again = carol.client.get(f"/t/{token}")
    assert (again.status_code, again.headers["location"]) == (303, f"../c/{thread_id}")
    assert token not in str(shop.database.rows("SELECT * FROM customer_links"))
    assert token not in shop.server.log


def test_of_two_concurrent_clicks_on_the_button_one_succeeds(shop: Shop) -> None:
    thread_id, email = _conversation(shop)
    for _ in range(5):
        token = _link(shop, thread_id, email)
        readers = [Reader(shop) for _ in range(4)]
        told: list[int] = []

        def press(reader: Reader, token: str = token, told: list[int] = told) -> None:
            told.append(reader.open(token).status_code)

        threads = [threading.Thread(target=press, args=(reader,)) for reader in readers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for reader in readers:
            reader.client.close()
        assert sorted(told) == [303, 410, 410, 410]


def test_an_expired_link_looks_like_an_unknown_one(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop)
    over = _link(shop, thread_id, email, now_ms=1)
    never = "a" * len(over)
    told = {}
    for token in (over, never):
        for answer in (carol.client.get(f"/t/{token}"), carol.open(token)):
            assert answer.status_code == 410
            _is_locked_away(answer)
            told.setdefault(token, set()).add(answer.text.replace(token, "…"))
    assert told[over] == told[never]


def test_a_new_link_goes_to_the_same_address_and_does_not_reveal_whether_one_existed(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop)
    token = _link(shop, thread_id, email, now_ms=1)
    asked = [
        carol.client.post("/t/new-link", data={"token": each}, headers=PAGE)
        for each in (token, "a" * len(token), "nonsense", "", token)
    ]
    assert {answer.status_code for answer in asked} == {200}
    assert len({answer.text for answer in asked}) == 1
    sent = shop.database.rows("SELECT * FROM outbound_messages WHERE thread_id = :id", id=int(thread_id))
    assert [(row["purpose"], row["channel"], row["address"]) for row in sent] == [("link", "EMAIL", email)]


def test_a_new_link_is_sent_after_the_clock_was_set_back(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop)
    token = _link(shop, thread_id, email)

    def ask() -> Any:
        assert carol.client.post("/t/new-link", data={"token": token}, headers=PAGE).status_code == 200
        return shop.database.value("SELECT count(*) FROM outbound_messages WHERE thread_id = :id", id=int(thread_id))

    assert [ask(), ask()] == [1, 1]
    an_hour_ahead = "UPDATE outbound_messages SET created_at_ms = created_at_ms + 3600000 WHERE thread_id = :id"
    assert shop.database.change(an_hour_ahead, id=int(thread_id)) == 1
    assert [ask(), ask()] == [2, 2]


def test_a_link_in_an_sms_is_short_and_opens_the_same_page(shop: Shop, carol: Reader) -> None:
    phone = shop.some_number()
    thread_id = shop.send(user={"phoneNumber": phone})
    token = _link(shop, thread_id, phone, "SMS")
    assert len(token) == 12
    assert phone[-2:] in carol.client.get(f"/t/{token}").text
    assert phone[:-2] not in carol.client.get(f"/t/{token}").text
    assert carol.open(token).status_code == 303


def test_a_link_is_invalid_after_the_conversation_changes_hands(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop)
    for_another, after_erasure = _link(shop, thread_id, "another@example.com"), _link(shop, thread_id, email)
    assert carol.open(for_another).status_code == 410
    customer_id = shop.customer_of(thread_id)
    assert shop.post({}, path=f"/api/customers/{customer_id}/erase").status_code == 200
    assert carol.open(after_erasure).status_code == 410


def test_undoing_a_merge_closes_the_page_that_it_opened(shop: Shop, carol: Reader) -> None:
    daves, _ = _conversation(shop, "Dave's canary")
    _, email = carols = _conversation(shop)
    kept, merged = shop.customer_of(carols[0]), shop.customer_of(daves)
    moved = {"customerThreadId": carols[0], "businessId": shop.world.paris}
    assert shop.post(moved, path="/api/transfer-customer-thread").status_code == 200
    merge = shop.post({"otherCustomerId": str(merged)}, path=f"/api/customers/{kept}/merge").json()["mergeId"]
    assert carol.open(_link(shop, daves, email)).status_code == 303
    assert "canary" in carol.page(daves).text
    assert shop.post({}, path=f"/api/customers/merges/{merge}/undo").status_code == 200
    assert carol.page(daves).status_code == 410
    read = carol.client.get("/api/customer/messages", headers={"shopbell-thread": daves})
    assert "canary" not in read.text


def test_another_site_cannot_press_the_button_or_send_the_form(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop)
    token = _link(shop, thread_id, email)
    for foreign in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
    ):
        assert carol.client.post(f"/t/{token}", headers=foreign).status_code == 403
        assert carol.client.post("/t/new-link", data={"token": token}, headers=foreign).status_code == 403
    assert carol.open(token).status_code == 303
    for foreign in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        assert carol.send(thread_id, "forged", **foreign).status_code == 403
        off = carol.client.post(f"/c/{thread_id}/notifications", data={"notifications": "off"}, headers=foreign)
        assert off.status_code == 403
    # With the cookie alone no script of a foreign site gets anywhere either.
    alone = carol.client.post("/api/customer/messages", json={"text": "forged", "clientMessageId": str(uuid.uuid4())})
    assert alone.status_code == 401
    assert len(shop.messages(thread_id)) == 1


def test_a_customer_reads_writes_and_sends_files_with_forms_only(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop, locale="fr")
    carol.open(_link(shop, thread_id, email))
    note = {"customerThreadId": thread_id, "text": "a canary among notes", "internal": True}
    assert shop.post(note, path="/api/send-message-to-customer-thread").status_code == 200
    sent = carol.send(thread_id, "<b>Merci</b>\r\n& à bientôt")
    assert (sent.status_code, sent.headers["location"]) == (303, f"../{thread_id}?sent")
    assert carol.send(thread_id, "", "reçu.txt", b"a receipt", "text/plain").status_code == 303
    page = carol.client.get(f"/c/{thread_id}?sent")
    assert 'lang="fr"' in page.text
    assert "<b>Merci" not in page.text
    assert "<b>Merci</b>\n& à bientôt" in unescape(page.text)
    assert "canary" not in page.text
    assert [row["body"] for row in shop.messages(thread_id)[2:]] == ["<b>Merci</b>\n& à bientôt", ""]
    (link,) = re.findall(r'class="file" href="([^"]+)"', page.text)
    assert carol.client.get(unescape(link)).content == b"a receipt"
    transcript = carol.client.get(f"/c/{thread_id}/transcript")
    assert "Merci" in transcript.text
    assert "canary" not in transcript.text


def test_form_errors_are_shown_on_the_page(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop)
    carol.open(_link(shop, thread_id, email))
    for text, file, said in (
        ("  ", (), "Please enter a message."),
        ("x" * 10_001, (), "Your message is too long. The limit is 10,000 characters."),
        ("", ("a.exe", b"MZ" + b"\0" * 600, "image/png"), "Files of this type cannot be sent."),
    ):
        answer = carol.send(thread_id, text, *file)
        assert answer.status_code == 400
        assert said in unescape(answer.text), said
    assert len(shop.messages(thread_id)) == 1


def test_emails_can_be_turned_off_and_on_again_on_the_page(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop)
    carol.open(_link(shop, thread_id, email))

    def switch(wish: str) -> str:
        done = carol.client.post(f"/c/{thread_id}/notifications", data={"notifications": wish}, headers=PAGE)
        assert done.status_code == 303
        return unescape(carol.page(thread_id).text)

    before = shop.count("opt_outs")
    assert "You no longer receive emails from Acme Boston." in switch("off")
    assert shop.count("opt_outs") == before + 1
    assert email not in str(shop.database.rows("SELECT * FROM opt_outs"))
    assert "You will receive an email when we reply." in switch("on")
    assert shop.count("opt_outs") == before


def test_the_page_turns_off_emails_only_for_the_address_of_its_link(
    shop: Shop, carol: Reader, stranger: Reader
) -> None:
    phone = shop.some_number()
    thread_id, hers = _conversation(shop, phoneNumber=phone)
    his = shop.somebody()  # her family's
    assert shop.send(user={"email": his, "phoneNumber": phone}) == thread_id
    for reader, email in ((carol, hers), (stranger, his)):
        reader.open(_link(shop, thread_id, email))
    carol.client.post(f"/c/{thread_id}/notifications", data={"notifications": "off"}, headers=PAGE)
    stranger.client.post(f"/c/{thread_id}/notifications", data={"notifications": "on"}, headers=PAGE)
    assert "You no longer receive emails from Acme Boston." in carol.page(thread_id).text
    assert "You will receive an email when we reply." in stranger.page(thread_id).text


def test_the_page_calls_the_api_with_its_cookie_and_conversation(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop)
    carol.open(_link(shop, thread_id, email))
    named = {"shopbell-thread": thread_id}
    assert carol.client.get("/api/customer/messages", headers=named).json()["messages"][0]["text"] == "from the form"
    other_id, other_email = _conversation(shop, "another canary")
    assert carol.client.get("/api/customer/messages", headers={"shopbell-thread": other_id}).status_code == 401
    stolen = {"cookie": f"sb_{other_id}={carol.client.cookies[f'sb_{thread_id}']}", "shopbell-thread": other_id}
    thief = httpx2.get(f"{shop.server.url}/api/customer/messages", headers=stolen, trust_env=False, timeout=60)
    assert thief.status_code == 401
    assert other_email not in carol.page(thread_id).text


def test_a_long_conversation_shows_its_end_and_the_transcript_is_complete(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop, "said 1.")
    carol.open(_link(shop, thread_id, email))
    assert "latest messages" not in carol.page(thread_id).text
    _lengthen(shop, thread_id, LONG)
    page = carol.page(thread_id).text
    assert re.findall(r">said (\d+)\.<", page) == [str(number) for number in range(LONG - SHOWN + 1, LONG + 1)]
    assert "latest messages" in page
    transcript = carol.client.get(f"/c/{thread_id}/transcript")
    assert re.findall(r"(?m)^said (\d+)\.$", transcript.text) == [str(number) for number in range(1, LONG + 1)]
    assert "content-length" not in transcript.headers, "all of it was put together before it was sent"


def _lengthen(shop: Shop, thread_id: str, count: int) -> None:
    """Let a conversation have so many messages."""
    shop.database.change(
        "INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)"
        " WITH RECURSIVE s(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM s WHERE i < :last)"
        " SELECT organization_id, thread_id, i, 4000000000000000 + thread_id * 1000 + i, from_customer,"
        " 'said ' || i || '.', created_at_ms FROM messages, s WHERE thread_id = :id AND sequence = 1",
        last=count,
        id=int(thread_id),
    )
    shop.database.change("UPDATE threads SET last_sequence = :last WHERE id = :id", last=count, id=int(thread_id))


def test_submitting_a_form_twice_sends_one_message_unless_the_text_differs(shop: Shop, carol: Reader) -> None:
    thread_id, email = _conversation(shop)
    carol.open(_link(shop, thread_id, email))

    def form_id() -> str:
        (found,) = re.findall(r'name="clientMessageId" value="([^"]+)"', carol.page(thread_id).text)
        return str(found)

    def send(text: str, form: str, file: bytes = b"") -> int:
        parts = {"clientMessageId": (None, form), "text": (None, text), "file": ("a.txt" if file else "", file)}
        return carol.client.post(f"/c/{thread_id}/messages", files=parts, headers=PAGE).status_code

    first = form_id()
    sent = [("yes", first), ("yes", first), ("no", first), ("no", first, b"a file"), ("no", first, b"a file")]
    assert [send(*each) for each in [*sent, ("yes", form_id())]] == [303] * 6
    assert [row["body"] for row in shop.messages(thread_id)[1:]] == ["yes", "no", "no", "yes"]
    assert [send("x", wrong) for wrong in ("not a UUID", "1" * 37)] == [400, 400]


def test_a_claimed_address_can_turn_off_emails_after_it_received_a_link(
    shop: Shop, carol: Reader, stranger: Reader
) -> None:
    visitor, email, phone = acmes_site(shop).visitor(), shop.somebody(), shop.some_number()
    thread_id = visitor.say()["customerThreadId"]
    assert visitor.post("identify", email=email.upper(), phoneNumber=phone).status_code == 200

    def press(reader: Reader, wish: str) -> str:
        sent = reader.client.post(f"/c/{thread_id}/notifications", data={"notifications": wish}, headers=PAGE)
        assert sent.status_code == 303
        return reader.page(thread_id).text

    before = shop.count("opt_outs")
    assert stranger.open(_link(shop, thread_id, phone, "SMS")).status_code == 303
    assert 'name="notifications"' not in press(stranger, "off")
    assert shop.count("opt_outs") == before
    assert carol.open(_link(shop, thread_id, email)).status_code == 303
    assert "You no longer receive emails from Acme Boston." in unescape(press(carol, "off"))
    assert shop.count("opt_outs") == before + 1
    assert "You will receive an email when we reply." in unescape(press(carol, "on"))
    assert shop.count("opt_outs") == before
