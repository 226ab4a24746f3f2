"""No text of an inbound or outbound email runs as a script."""

import base64
import html
import smtplib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hostile import (
    EMAIL,
    KEYS,
    WITH_AND_WITHOUT_POLICY,
    Hostile,
    as_it_was_sent,
    hostile_talk,
    in_frames,
    keep_up,
    opened,
    page_opened,
    shown_in_place,
)
from payloads import CANARY, Payload, Place, naive_page, payloads
from playwright.sync_api import Browser, FrameLocator, Page, expect
from witness import TOUCH, Witness, witness

from harness.host_site import HostSite
from harness.ports import free_port
from shopbell.channels.email.store import EMAILS_PER_HOUR
from shopbell.email.compose import compose
from shopbell.email.message import EmailContent, Purpose, Quoted
from shopbell.email.reply_addresses import Audience, EmailAddresses
from shopbell.http.customer import pages
from shopbell.http.pages import answer_page
from shopbell.http.pages.dev_mail import LISTED_MAX

PAYLOADS = payloads()
DOMAIN = "mail.shop.example.com"
AT_MS = 1_700_000_000_000
FUTURE_MS = 9_000_000_000_000
HOUR_MS = 3_600_000
ADDRESSES = "links => links.map(link => link.getAttribute('href'))"
TEXTS = "nodes => nodes.map(node => node.textContent)"


@pytest.fixture(scope="module")
def hostile(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """Carol sends every payload by email, while her page in the browser is open."""
    folder, port = tmp_path_factory.mktemp("mails"), free_port()
    settings = {
        "SHOPBELL_MAIL_LISTEN": f"lmtp://127.0.0.1:{port}",
        "SHOPBELL_MAIL_REPLY_DOMAIN": DOMAIN,
        "SHOPBELL_MAIL_OUTBOX": str(folder / "outbox"),
    }
    with hostile_talk(browser, folder, **settings) as made:
        addresses = EmailAddresses(KEYS, sender=f"hello@{DOMAIN}", reply_domain=DOMAIN)
        to = str(addresses.reply(int(made.demo.facts["organizationId"]), int(made.thread), Audience.CUSTOMER))
        with smtplib.LMTP("127.0.0.1", port, timeout=60) as client:
            for count, payload in enumerate(PAYLOADS):
                if count % (EMAILS_PER_HOUR // 2) == 0:
                    an_hour_goes_by(made)
                if count % 50 == 0:
                    keep_up(made.page, 1 + count)
                client.sendmail(EMAIL, [to], mail_of(payload, to))
        yield made


def an_hour_goes_by(hostile: Hostile) -> None:
    """A conversation accepts a limited number of emails per hour."""
    earlier = "UPDATE messages SET created_at_ms = created_at_ms - :hour WHERE thread_id = :thread"
    hostile.demo.installation.database.change(earlier, hour=HOUR_MS, thread=int(hostile.thread))


def mail_of(payload: Payload, to: str) -> bytes:
    """An email whose sender name, subject, HTML and file name are the payload."""
    page = f"<html><body><pre>{html.escape(payload.text)}</pre><div>{payload.text}</div></body></html>"
    lines = (
        f"From: {in_words(payload.line)} <{EMAIL}>",
        f"To: <{to}>",
        f"Subject: {in_words(payload.line)}",
        f"Message-ID: <{payload.number}@customers.example>",
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="=_parts"',
        *("", "--=_parts", "Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: base64", ""),
        base64.encodebytes(page.encode()).decode().strip().replace("\n", "\r\n"),
        *("--=_parts", "Content-Type: text/plain", f"Content-Disposition: attachment;{in_pieces(payload.line)}"),
        *("", f"fired({payload.number})", "--=_parts--", ""),
    )
    return "\r\n".join(lines).encode()


def in_words(text: str) -> str:
    """A text in the format of a header (RFC 2047)."""
    words = (base64.b64encode(text[start : start + 10].encode()).decode() for start in range(0, len(text), 10))
    return "\r\n ".join(f"=?utf-8?B?{word}?=" for word in words)


def in_pieces(name: str) -> str:
    """A file name in the format of a header (RFC 2231).

    Only the last part of a path would be kept.
    """
    parts = [quote(name.replace("/", " ")[start : start + 8], safe="") for start in range(0, len(name), 8)]
    start = "utf-8''"
    return ";".join(f"\r\n filename*{place}*={'' if place else start}{part}" for place, part in enumerate(parts))


def check(seen: Witness, page: Page, region: Page | FrameLocator, last: list[str], places: str = "#messages") -> None:
    """Check that the business sees the last messages as text and that none ran."""
    assert region.locator(f"{places} .text").evaluate_all(TEXTS) == last
    assert len(region.locator(f"{places} a").all()) >= len(last) - 1
    seen.touch(page)
    assert seen.foreign(page) == []
    seen.expect_nothing()


def test_received_emails_keep_their_text(hostile: Hostile) -> None:
    said = hostile.said()[1:]
    assert len(said) == len(PAYLOADS) >= 300
    pairs = list(zip(PAYLOADS, said, strict=True))
    assert sum("".join(each.text.split()) in "".join(message["text"].split()) for each, message in pairs) >= 300
    names = hostile.demo.installation.database.rows("SELECT sender_name, subject FROM mail_details ORDER BY message_id")
    lines = [" ".join(each.line.split()) for each in PAYLOADS]  # some have characters that change how a line is read
    kept = [(row["sender_name"], row["subject"]) == (line, line) for row, line in zip(names, lines, strict=True)]
    assert sum(kept) >= 300


def test_the_widget_shows_received_emails_live_and_when_reopened(hostile: Hostile, browser: Browser) -> None:
    texts = [message["text"] for message in hostile.said()]
    panel = hostile.page.frame_locator("shopbell-widget iframe")
    expect(panel.locator("#messages li[data-message-id]")).to_have_count(len(texts))
    check(hostile.live, hostile.page, panel, texts)
    with witness(browser, bypass_csp=True, storage_state=hostile.storage) as seen:
        page = seen.context.new_page()
        page.goto(f"{hostile.demo.url}/demo")
        panel = opened(page)
        expect(panel.locator("#messages li[data-message-id]")).to_have_count(len(texts))
        check(seen, page, panel, texts)


@pytest.mark.parametrize("scripts", [True, False], ids=["live", "as-it-was-sent"])
@WITH_AND_WITHOUT_POLICY
def test_the_page_shows_received_emails(bypass_csp: bool, scripts: bool, hostile: Hostile, browser: Browser) -> None:
    texts = [message["text"] for message in hostile.said()]
    with witness(browser, bypass_csp=bypass_csp) as seen:
        page = page_opened(seen, hostile)
        if not scripts:  # scripts of the page: injected ones could still run
            page.route("**/*.js*", lambda route: route.fulfill(content_type="text/javascript", body=""))
        for end in range(len(texts), 0, -pages.LINES_MAX):
            with hostile.without_what_came_after(end):
                page.reload()
                check(seen, page, page, texts[max(0, end - pages.LINES_MAX) : end])


@WITH_AND_WITHOUT_POLICY
def test_the_reply_page_shows_received_emails(bypass_csp: bool, hostile: Hostile, browser: Browser) -> None:
    link = hostile.answer_link()
    texts = [message["text"] for message in hostile.said()]
    count = answer_page.LINES_MAX
    with witness(browser, bypass_csp=bypass_csp) as seen:
        for end in range(len(texts), 0, -count):
            with hostile.without_last(len(texts) - end):
                page = seen.open(link)
                check(seen, page, page, texts[max(0, end - count) : end], "#messages")
                page.close()


def test_the_transcript_of_received_emails_is_plain_text(hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=True) as seen:
        transcript = f"{page_opened(seen, hostile).url}/transcript"
        seen.context.route("**/transcript", shown_in_place)
        shown = seen.open(transcript)
        assert shown.evaluate("document.contentType") == "text/plain"
        assert shown.locator("body *:not(pre)").count() == 0
        seen.expect_nothing()


def put(outbox: Path, number: int, content: bytes) -> str:
    """Write an email into the folder, newer than the others; return its name.

    The channel does the same.
    """
    name = f"{FUTURE_MS + number}-{number:06d}.eml"
    (outbox / name).write_bytes(
        b"Return-Path: <hello@shop.example>\r\nX-Envelope-To: <carol@customers.example>\r\n" + content
    )
    return name


def letter_of(payload: Payload) -> EmailContent:
    """An email to a customer or a business in which every free text is the payload."""
    attached = Quoted(payload.line, payload.text, AT_MS, payload.line, "https://shop.example/attachments/1/a")
    return EmailContent(
        purpose=(Purpose.REPLY, Purpose.BUSINESS_NOTICE)[payload.number % 2],
        message_id=f"<{payload.number}@shop.example>",
        envelope_sender="hello@shop.example",
        sender="hello@shop.example",
        recipient=EMAIL,
        business_name=payload.line,
        recipient_name=payload.line,
        customer_name=payload.line,
        subject=payload.line if payload.number % 4 < 2 else None,
        at_ms=AT_MS,
        reply_to="reply@shop.example",
        messages=(attached, Quoted(None, payload.text, AT_MS)),
        history=(attached,),
        button_url="https://shop.example/t/abc",
        unsubscribe_url="https://shop.example/unsubscribe/abc",
    )


def test_sent_emails_run_no_script_where_they_are_shown(
    hostile: Hostile, browser: Browser, host_site: HostSite
) -> None:
    outbox = hostile.demo.installation.folder / "outbox"
    outbox.mkdir(exist_ok=True)
    shown = 0
    with witness(browser, bypass_csp=True) as seen:
        for start in range(0, len(PAYLOADS), LISTED_MAX):
            some = PAYLOADS[start : start + LISTED_MAX]
            names = [put(outbox, each.number, compose(letter_of(each)).as_bytes()) for each in some]
            listed = seen.open(f"{hostile.demo.url}/dev/mail")
            links = listed.locator("a[href^='mail/']").evaluate_all(ADDRESSES)
            assert [name for name in names if links.count(f"mail/{name}") != 1] == []
            assert seen.foreign(listed) == []
            listed.close()
            for name in names:  # each alone, without a policy or a sandbox
                for part in ("", "?part=html"):
                    path = f"/{name}{'-html' if part else ''}"
                    page_of_it = as_it_was_sent(hostile.client.get(f"/dev/mail/{name}{part}"))
                    page_of_it.content = page_of_it.content.replace(f' src="{name}?part=html"'.encode(), b"")
                    host_site.pages[path] = page_of_it
        for some_frames in in_frames([path for path in host_site.pages if path.endswith((".eml", "-html"))]):
            page = seen.open(host_site.page("/all", some_frames))
            assert seen.foreign(page) == []
            shown += len(page.frames[0].child_frames)
            page.close()
        seen.expect_nothing()
    assert shown == 2 * len(PAYLOADS)


def test_an_unescaped_email_is_blocked_where_it_is_shown(
    hostile: Hostile, browser: Browser, host_site: HostSite
) -> None:
    """Check that sandbox and policy stop an email that is not escaped.

    Our emails are escaped.
    """
    outbox = hostile.demo.installation.folder / "outbox"
    outbox.mkdir(exist_ok=True)
    # A browser also reports requests that a policy blocks. Only scripts that run count here.
    places = (Place.HTML, Place.ATTRIBUTE)
    tried = [each for each in PAYLOADS if each.place in places and CANARY not in each.text][::10]
    headers = b"Subject: x\r\nTo: carol@customers.example\r\nMIME-Version: 1.0\r\n"
    kind = b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    with witness(browser, bypass_csp=False) as held:
        page = held.context.new_page()
        for payload in tried:
            content = headers + kind + base64.encodebytes(naive_page(payload).encode())
            name = put(outbox, 1_000 + payload.number, content)
            host_site.pages[f"/{name}"] = as_it_was_sent(hostile.client.get(f"/dev/mail/{name}?part=html"))
            page.goto(f"{hostile.demo.url}/dev/mail/{name}")
            (frame,) = page.main_frame.child_frames
            assert held.inside(frame, TOUCH), "the email is gone"
            held.settle(page)
            assert (held.fired, held.dialogs) == (set(), []), payload
    with witness(browser, bypass_csp=True) as let:
        for some in in_frames([path for path in host_site.pages if path.endswith(".eml")]):
            let.open(host_site.page("/all", some)).close()
        assert len(let.fired) >= len(tried) * 3 // 4
