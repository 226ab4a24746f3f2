"""How the inbox shows emails: what is new, what is quoted, and who wrote it."""

import smtplib
import uuid
from collections.abc import Callable
from email.message import EmailMessage

import pytest
from playwright.sync_api import Locator, Page, expect

from harness.browser import Visit, faults
from harness.inbox_desk import Desk
from harness.installation import SECRET_KEY
from harness.ports import free_port
from harness.shop import Shop
from shopbell.email.reply_addresses import Audience, EmailAddresses
from shopbell.security.keys import Keys

DOMAIN = "reply.acme.example"
NEW = "Saturday is fine. I will bring it at ten."
QUOTED = "> Can you come on Saturday?\n> Marta"


@pytest.fixture(scope="module")
def port() -> int:
    """Where the server accepts emails."""
    return free_port()


@pytest.fixture
def desk(
    shops: Callable[..., Shop], visit: Callable[..., Visit], port: int, tmp_path_factory: pytest.TempPathFactory
) -> Desk:
    """Two stores that receive emails."""
    mail = {
        "mail_listen": f"lmtp://127.0.0.1:{port}",
        "mail_reply_domain": DOMAIN,
        "mail_from": f"shop@{DOMAIN}",
        "mail_outbox": tmp_path_factory.getbasetemp() / "inbox-outbox",
    }
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000, **mail), visit)


@pytest.fixture
def deliver(desk: Desk, port: int) -> Callable[..., None]:
    """Deliver an email to a conversation, as the mail server does."""
    addresses = EmailAddresses(Keys((SECRET_KEY.encode(),)), sender=f"shop@{DOMAIN}", reply_domain=DOMAIN)

    def deliver(thread: str, sender: str, text: str) -> None:
        to = str(addresses.reply(int(desk.shop.world.acme), int(thread), Audience.CUSTOMER))
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, to, "Re: My coat"
        mail["Message-ID"] = f"<{uuid.uuid4().hex}@mail.example>"
        mail.set_content(text)
        with smtplib.LMTP("127.0.0.1", port) as client:
            assert client.sendmail(mail["From"].addresses[0].addr_spec, [to], mail.as_bytes()) == {}

    return deliver


def opened(desk: Desk, thread: str) -> tuple[Page, Locator]:
    """Open a conversation; returns its last message, too."""
    page = desk.open(desk.hire(), f"inbox/open/{thread}")
    expect(page.locator(".log .text")).to_have_count(2)
    return page, page.locator(".log > li:is(.msg, .note)").last


def test_an_email_shows_what_is_new_and_what_it_quotes_when_asked(desk: Desk, deliver: Callable[..., None]) -> None:
    carol = desk.shop.somebody()
    thread = desk.write("Hello?", "Carol Jones", email=carol)
    deliver(thread, f"Carol Jones <{carol}>", f"{NEW}\n\nOn Monday, Marta wrote:\n{QUOTED}\n")
    page, message = opened(desk, thread)
    expect(message.locator(".text")).to_have_text(NEW)
    expect(message.locator(".subject")).to_have_text("Re: My coat")
    fold = message.get_by_role("button", name="Show quoted text")
    expect(fold).to_have_attribute("aria-expanded", "false")
    fold.click()
    expect(message.locator(".text").last).to_have_text(f"On Monday, Marta wrote:\n{QUOTED}")
    assert faults(page) == []
    message.get_by_role("button", name="Hide quoted text").click()
    expect(message.locator(".text")).to_have_text(NEW)


def test_an_email_that_answers_between_the_quoted_lines_can_be_shown_whole(
    desk: Desk, deliver: Callable[..., None]
) -> None:
    carol = desk.shop.somebody()
    thread = desk.write("Hello?", "Carol Jones", email=carol)
    between = "On Monday, Marta wrote:\n> Which day?\n\nSaturday.\n\n> Is the lining torn, too?\n\nNo.\n\n> Marta\n"
    deliver(thread, carol, between)
    _, message = opened(desk, thread)
    message.get_by_role("button", name="Show the whole email").click()
    expect(message.locator(".text").last).to_have_text(between.strip())


def test_an_email_from_another_address_says_who_wrote_it(desk: Desk, deliver: Callable[..., None]) -> None:
    thread = desk.write("Hello?", "Carol Jones")
    deliver(thread, "Paul Petit <paul@office.example>", f"{NEW}\n\nOn Monday, Marta wrote:\n{QUOTED}\n")
    page, message = opened(desk, thread)
    expect(message).to_have_class("note")
    expect(message.locator(".from")).to_contain_text("Paul Petit · only your team sees this")
    expect(message.locator(".foreign")).to_have_text("From another address: paul@office.example")
    expect(message.locator(".text").first).to_contain_text(NEW)
    expect(message.locator(".text").first).not_to_contain_text("Marta")
    message.get_by_role("button", name="Show quoted text").click()
    expect(message.locator(".text").last).to_contain_text("> Can you come on Saturday?")
    assert faults(page) == []
