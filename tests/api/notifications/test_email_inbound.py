"""Inbound emails of customers, employees, strangers and programs."""

import re
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import pytest

from harness.ports import free_port
from harness.sent_messages import Post
from harness.smtp import Received
from harness.visitors import acmes_site
from harness.waiting import wait_until

REPORT = """\
From: MAILER-DAEMON@mail.example
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=b"

--=b
Content-Type: text/plain

The mail could not be delivered.

--=b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.1.1

--=b--
"""
PROVED = "mx.acme.example; dmarc=pass header.from=acme.example"


class Mailroom:
    """A post office that mails come in to as well."""

    def __init__(self, post: Post, port: int) -> None:
        self.post = post
        self._port = port

    def deliver(self, mail: EmailMessage, to: str) -> None:
        """Hand a mail over as the mail server does."""
        self.deliver_raw(mail.as_bytes(), to, mail["From"].addresses[0].addr_spec)

    def deliver_raw(self, mail: bytes, to: str, sender: str) -> None:
        """The same with the bytes of a mail."""
        with smtplib.LMTP("127.0.0.1", self._port) as client:
            assert client.sendmail(sender, [to], mail) == {}

    def mails_to(self, address: str) -> list[Received]:
        """What an address got."""
        return [mail for mail in self.post.mails.received if mail.recipients == (address,)]

    def wait_for_mail(self, address: str, count: int = 1) -> Received:
        """The newest mail to an address, once there are as many."""
        wait_until(lambda: len(self.mails_to(address)) >= count, lambda: self.post.shop.server.log)
        return self.mails_to(address)[count - 1]


@pytest.fixture
def room(open_post: Any) -> Iterator[Mailroom]:
    """An open mailroom."""
    port = free_port()
    listen = f"lmtp://127.0.0.1:{port}"
    with open_post(mail_listen=listen, mail_authserv_id="mx.acme.example", mail_batch_s=0) as post:
        yield Mailroom(post, port)


def letter(sender: str, text: str, *, about: Received | None = None, **headers: str) -> EmailMessage:
    """A mail, as a person writes one."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = "shop@acme.example"
    mail["Subject"] = "Re: My bicycle"
    mail["Message-ID"] = f"<{sha256(f'{sender} {text}'.encode()).hexdigest()}@mail.example>"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    if about is not None:
        mail["In-Reply-To"] = about.message["Message-ID"]
    mail.set_content(text)
    return mail


def reply_address(mail: Received) -> str:
    """Where a mail is answered to."""
    address: str = mail.message["Reply-To"].addresses[0].addr_spec
    return address


def opened(room: Mailroom) -> tuple[str, str, str]:
    """A conversation with an email to the customer.

    Returns its id, the customer's address and the reply address.
    """
    carol = room.post.shop.somebody()
    thread_id = room.post.shop.send(user={"email": carol})
    return thread_id, carol, reply_address(room.wait_for_mail(carol))


def test_a_customer_and_an_employee_talk_by_email(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    first = room.wait_for_mail(carol)
    ((link, token),) = set(re.findall(r"(https?://\S+/t/(\w+))", first.message.get_body(("plain",)).get_content()))
    question = letter(carol, f"Is it ready?\n\nOn Monday you wrote:\n> Hello\n> {link}", about=first)
    room.deliver(question, address)
    _, answer = room.post.messages(thread_id)
    assert (answer["text"], answer["fromCustomer"], answer["channel"]) == ("Is it ready?", True, "EMAIL")
    assert answer["mail"]["sender"] == carol
    assert "> Hello\n> […]" in answer["mail"]["fullText"]
    assert token not in str(
        room.post.messages(thread_id)
    )  # who may read a conversation may not write in it as she does
    message_id = room.post.reply(thread_id, "Yes, it is.")
    room.post.wait_for_delivery(message_id, "EMAIL", "sent")
    assert room.post.deliveries(message_id) == {("EMAIL", "customer"): ("sent", None)}  # he is not on the web now
    mail = room.wait_for_mail(carol, 2)
    assert mail.message["Subject"] == "Re: My bicycle"
    assert mail.message["In-Reply-To"] == question["Message-ID"]


def test_a_duplicate_email_is_stored_once(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    for _ in range(2):
        room.deliver(letter(carol, "Is it ready?"), address)
    assert [message["text"] for message in room.post.messages(thread_id)[1:]] == ["Is it ready?"]


def test_an_email_attachment_becomes_an_attachment_of_the_message(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    mail = letter(carol, "Two pictures.")
    for name in ("one.txt", "two.txt"):
        mail.add_attachment(f"file {name}".encode(), maintype="text", subtype="plain", filename=name)
    room.deliver(mail, address)
    said = [(message["text"], message["attachment"]["name"]) for message in room.post.messages(thread_id)[1:]]
    assert said == [("Two pictures.", "one.txt"), ("", "two.txt")]


def test_an_email_over_the_daily_file_limit_is_stored_without_files(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)

    def send(text: str) -> None:
        mail = letter(carol, text)
        mail.add_attachment(b"a picture", maintype="text", subtype="plain", filename="picture.txt")
        room.deliver(mail, address)

    send("The first.")
    used = "UPDATE upload_usage SET used_bytes = 104857600 - 8 WHERE kind = 'session' AND subject = :mail"
    assert room.post.shop.database.change(used, mail=f"mail {thread_id}") == 1
    send("The second.")
    said = [(message["text"], message["attachment"] is not None) for message in room.post.messages(thread_id)[1:]]
    assert said == [("The first.", True), ("The second.\n\n[picture.txt]", False)]


def test_an_email_from_another_address_becomes_a_note(room: Mailroom) -> None:
    thread_id, _, address = opened(room)
    room.post.reply(thread_id, "It is ready.")
    room.deliver(letter("mallory@example.net", "Send it to my house."), address)
    note = room.post.messages(thread_id)[2]
    assert (note["fromCustomer"], note["internal"]) == (False, True)
    assert note["mail"]["foreignSender"]
    assert note["mail"]["sender"] == "mallory@example.net"
    assert _status(room, thread_id) == "replied"


def test_an_email_with_a_forged_sender_becomes_a_note(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    forged = "mx.acme.example; dmarc=fail header.from=example.com"
    room.deliver(letter(carol, "Send it to my new house.", Authentication_Results=forged), address)
    note = room.post.messages(thread_id)[1]
    assert (note["fromCustomer"], note["internal"], note["mail"]["foreignSender"]) == (False, True, True)


def test_an_email_from_the_reply_domain_is_accepted(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    mail = letter(carol, "Is it ready?")
    mail.replace_header("Message-ID", f"<1234@{address.partition('@')[2]}>")  # many programs write it so
    room.deliver(mail, address)
    assert [message["text"] for message in room.post.messages(thread_id)[1:]] == ["Is it ready?"]


def test_our_own_returned_email_is_dropped(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    mail = letter(carol, "Is it ready?")
    mail.replace_header("Message-ID", room.wait_for_mail(carol).message["Message-ID"])
    room.deliver(mail, address)
    assert room.post.messages(thread_id)[1:] == []


def test_an_automatic_reply_reopens_nothing(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    room.post.reply(thread_id, "It is ready.")
    room.deliver(letter(carol, "I am on holiday.", Auto_Submitted="auto-replied"), address)
    note = room.post.messages(thread_id)[2]
    assert (note["internal"], note["mail"]["automatic"], note["mail"]["foreignSender"]) == (True, True, False)
    assert _status(room, thread_id) == "replied"


def test_a_loop_of_automatic_replies_ends(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    for number in range(62):
        room.deliver(letter(carol, f"I am on holiday, {number}.", Auto_Submitted="auto-replied"), address)
    assert room.post.shop.thread(thread_id)["last_sequence"] == 61
    assert "too many emails in one conversation" in room.post.shop.server.log
    room.deliver(letter(carol, "I am back."), address)  # they do not block other emails
    assert room.post.shop.thread(thread_id)["last_sequence"] == 62


def test_after_the_clock_was_set_back_earlier_emails_do_not_block_new_ones(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    for number in range(61):
        room.deliver(letter(carol, f"I am on holiday, {number}.", Auto_Submitted="auto-replied"), address)
    later = "UPDATE messages SET created_at_ms = created_at_ms + 7200000 WHERE thread_id = :id"
    assert room.post.shop.database.change(later, id=int(thread_id)) == 61
    room.deliver(letter(carol, "I am still on holiday.", Auto_Submitted="auto-replied"), address)
    assert room.post.shop.thread(thread_id)["last_sequence"] == 62


def test_an_email_over_the_limit_stays_on_its_mail_server(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    for number in range(60):
        room.deliver(letter("mallory@example.net", f"Look here, {number}."), address)
    with pytest.raises(smtplib.SMTPDataError, match="451"):
        room.deliver(letter("mallory@example.net", "And here."), address)
    assert room.post.shop.thread(thread_id)["last_sequence"] == 61
    room.deliver(letter(carol, "Is it ready?"), address)
    assert room.post.shop.thread(thread_id)["last_sequence"] == 62


def test_a_reply_from_a_claimed_address_is_accepted_and_verifies_nothing(room: Mailroom) -> None:
    carol = room.post.shop.somebody()
    visitor = acmes_site(room.post.shop).visitor()
    thread_id = visitor.say()["customerThreadId"]
    assert visitor.post("identify", email=carol).status_code == 200
    room.post.reply(thread_id, "It is ready.")
    mail = room.wait_for_mail(carol)
    query = "SELECT count(*) FROM customer_identities WHERE value = :value"
    assert room.post.shop.database.value(query, value=carol) == 0
    room.deliver(letter(carol, "Thank you!"), reply_address(mail))
    answer = room.post.messages(thread_id)[2]
    assert (answer["text"], answer["fromCustomer"]) == ("Thank you!", True)
    assert room.post.shop.database.value(query, value=carol) == 0


def test_an_erased_customers_email_is_rejected(room: Mailroom) -> None:
    thread_id, carol, address = opened(room)
    customer_id = room.post.shop.customer_of(thread_id)
    assert room.post.shop.post({}, path=f"/api/customers/{customer_id}/erase").status_code == 200
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="No such address"):
        room.deliver(letter(carol, "Hello?"), address)


def test_an_employee_replies_to_the_customer_by_replying_to_the_notification(room: Mailroom) -> None:
    room.post.business(email="boston@acme.example", invites_customers=False)
    carol = room.post.shop.somebody()
    thread_id = room.post.shop.send(user={"email": carol})
    notice = room.wait_for_mail("boston@acme.example")
    answer = letter("boston@acme.example", "Tomorrow at nine.", Authentication_Results=PROVED)
    room.deliver(answer, reply_address(notice))
    assert "Tomorrow at nine." in room.wait_for_mail(carol).message.get_body(("plain",)).get_content()
    said = room.post.messages(thread_id)[1]
    assert (said["fromCustomer"], said["internal"]) == (False, False)
    assert room.post.actor_of(said) == {"type": "employee", "id": None}
    assert _status(room, thread_id) == "replied"


@pytest.mark.parametrize(("age_ms", "is_note"), [(60 * 60 * 1_000, False), (24 * 60 * 60 * 1_000, True)])
def test_an_employees_email_goes_out_by_whatsapp_only_while_the_window_is_open(
    room: Mailroom, age_ms: int, is_note: bool
) -> None:
    room.post.business(email="boston@acme.example", invites_customers=False)
    carol = {"phoneNumber": room.post.shop.some_number()}
    thread_id = room.post.shop.send(user=carol)
    notice = room.wait_for_mail("boston@acme.example")
    room.post.shop.move_to_whatsapp(thread_id, age_ms=age_ms)
    room.post.shop.send(user=carol)  # by the widget: it opens no window
    room.post.shop.database.change("UPDATE threads SET channel = 'WHATSAPP' WHERE id = :id", id=int(thread_id))
    answer = letter("boston@acme.example", "Tomorrow at nine.", Authentication_Results=PROVED)
    room.deliver(answer, reply_address(notice))
    said = room.post.messages(thread_id)[2]
    assert (said["fromCustomer"], said["internal"]) == (False, is_note)
    assert _status(room, thread_id) == ("waiting" if is_note else "replied")


def test_links_of_the_notification_are_removed_before_the_customer_sees_the_reply(room: Mailroom) -> None:
    room.post.business(email="boston@acme.example", invites_customers=False)
    carol = room.post.shop.somebody()
    room.post.shop.send(user={"email": carol})
    notice = room.wait_for_mail("boston@acme.example")
    links = re.findall(r"https?://\S+/(?:answer|unsubscribe)/\w+", notice.message.get_body(("plain",)).get_content())
    assert len(links) == 2
    rewritten = f"https://gateway.example/?url={quote(links[0], safe='')}&data=05"
    text = f"Tomorrow, see https://acme.example/answer/1.\nThe button <{links[0]}> and {links[1]}, or {rewritten}"
    answer = letter("boston@acme.example", text, Authentication_Results=PROVED)
    room.deliver(answer, reply_address(notice))
    mail = room.wait_for_mail(carol).message
    said = mail.get_body(("plain",)).get_content()
    assert "see https://acme.example/answer/1.\nThe button <[…]> and […] or […]" in said.replace("\r", "")
    tokens = [link.rpartition("/")[2] for link in links]
    assert not any(token in part.get_content() for token in tokens for part in mail.walk() if not part.is_multipart())


def test_an_employee_who_replies_to_the_notification_is_the_author(room: Mailroom) -> None:
    room.post.business(email="boston@acme.example", invites_customers=False)
    employee = {"name": "Alice Jones", "email": "alice@acme.example"}
    alice = room.post.shop.post(employee, path="/api/employees").json()["id"]
    thread_id = room.post.shop.send()
    notice = room.wait_for_mail("boston@acme.example")
    proved = "mx.acme.example; spf=pass smtp.mailfrom=acme.example"
    room.deliver(letter("alice@acme.example", "Tomorrow.", Authentication_Results=proved), reply_address(notice))
    said = room.post.messages(thread_id)[1]
    assert said["employeeUserId"] == alice
    assert room.post.actor_of(said) == {"type": "employee", "id": alice}


@pytest.mark.parametrize(
    ("sender", "proofs"),
    [
        ("boston@acme.example", "mx.acme.example; dmarc=fail header.from=acme.example"),
        ("boston@acme.example", "mx.mallory.example; dmarc=pass header.from=acme.example"),
        ("boston@acme.example", "mx.acme.example; spf=pass smtp.mailfrom=mallory.example"),
        ("mallory@example.net", "mx.acme.example; dmarc=pass header.from=example.net"),
        ("boston@acme.example", "mx.acme.example; dmarc=pass header.from=example.net"),
    ],
)
def test_only_employees_can_reply_for_the_business(room: Mailroom, sender: str, proofs: str) -> None:
    room.post.business(email="boston@acme.example", invites_customers=False)
    carol = room.post.shop.somebody()
    thread_id = room.post.shop.send(user={"email": carol})
    notice = room.wait_for_mail("boston@acme.example")
    room.deliver(letter(sender, "Pay here.", Authentication_Results=proofs), reply_address(notice))
    note = room.post.messages(thread_id)[1]
    assert (note["internal"], note["mail"]["foreignSender"]) == (True, True)
    room.post.decided()
    assert room.mails_to(carol) == []
    assert _status(room, thread_id) == "waiting"


def test_claiming_an_address_does_not_open_its_conversation(room: Mailroom) -> None:
    carol, eve = room.post.shop.somebody(), acmes_site(room.post.shop).visitor()
    thread_id = eve.say()["customerThreadId"]
    assert eve.post("identify", email=carol).status_code == 200
    room.post.reply(thread_id, "Yes, it is.")
    answer = letter(carol, "That was not me.", Authentication_Results=PROVED)
    room.deliver(answer, reply_address(room.wait_for_mail(carol)))
    assert eve.texts()[-1] == "That was not me."
    assert room.post.shop.send(user={"email": carol}, message="My card is lost.") != thread_id
    assert "My card is lost." not in eve.texts()


def test_a_bounce_is_recorded_on_the_message(room: Mailroom) -> None:
    thread_id, carol, _ = opened(room)
    message_id = room.post.reply(thread_id, "It is ready.")
    room.post.wait_for_delivery(message_id, "EMAIL", "sent")
    mail = room.wait_for_mail(carol, 2)
    assert mail.sender.startswith("bounce+")
    room.deliver_raw(REPORT.format(to=mail.sender, recipient=carol).encode(), mail.sender, sender="")
    room.post.wait_for_delivery(message_id, "EMAIL", "failed")
    assert room.post.deliveries(message_id)["EMAIL", "customer"] == ("failed", "bounced_5_1_1")


def _status(room: Mailroom, thread_id: str) -> str:
    details = room.post.shop.server.client.get(
        "/api/get-customer-thread-details",
        params={"customerThreadId": thread_id},
        headers={"token": room.post.shop.world.token},
    ).json()
    status: str = details["status"]
    return status
