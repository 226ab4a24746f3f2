"""Recognising bounces among other emails."""

import pytest

from shopbell.email.auto_submitted import Reason
from shopbell.email.bounces import Bounce
from shopbell.email.parse import parse

TOM = "tom@mail.example"
RETURNED = "\n\n--- Below this line is a copy of the message.\n\nMessage-ID: <1@shop.example>\nSubject: Order\n"


def bounce_of(sender: str, subject: str, text: str, fields: str = "") -> Bounce | None:
    """What is made of a report in words."""
    head = f"From: {sender}\nTo: bounce@shop.example\nSubject: {subject}\n{fields}"
    return parse(f"{head}Content-Type: text/plain; charset=utf-8\n\n{text}".encode()).bounce


# As DragonFly, OpenSMTPD, Mail.ru, qmail, Exim, GMX, Exchange, Notes, AOL, Yahoo, Courier and others write them.
FAILED = [
    (
        "MAILER-DAEMON <>",
        "Mail delivery failed",
        "mx did not like our RCPT TO:\n550 5.1.1 <tom@mail.example>: User unknown",
    ),
    ("<>", "", "You sent mail to tom@mail.example. That's not a valid user here."),
    ("Mail Delivery System <MAILER-DAEMON>", "Returned Mail: User unknown", "<tom@mail.example>: 550 User unknown"),
    (
        '"Jetmail System" <>',
        "Mail Error",
        "Your mail cannot be delivered to the following address(es):\n tom@mail.example",
    ),
    ("Postmaster <>", "Undeliverable: x", "Your Message\nDid not reach the following recipient: tom@mail.example"),
    (
        "Mailer Daemon <mailer-daemon@mx.example>",
        "Delivery status notification: error",
        "tom@mail.example: 550 5.1.1 no",
    ),
    (
        "mailer-daemon@corp.example",
        "Ваше сообщение не доставлено. Mail failure.",
        "tom@mail.example\n  SMTP error: 550",
    ),
    (
        "mailer-daemon@mx.example",
        "failure notice",
        "<tom@mail.example>:\nSorry, no mailbox here by that name. (#5.1.1)",
    ),
    ("MAILER-DAEMON@mx.example", "", f"I wasn't able to deliver it to tom@mail.example. I've given up.{RETURNED}"),
    ('"GMX Mailer Daemon" <mailer-daemon@gmx.example>', "Mail delivery failed", "tom@mail.example:\nUser unknown"),
    ("System Administrator <postmaster@x.example>", "Undeliverable: Order", "did not reach:\ntom@mail.example unknown"),
    ("Systemadministrator <admin@x.example>", "Unzustellbar: Order", "tom@mail.example konnte nicht erreicht werden"),
    ("postmaster@x.example", "DELIVERY FAILURE: User tom not listed in Domino", "Your message to tom@mail.example"),
    ("MAILER-DAEMON@aol.example", "Mail Delivery Problem", "Your mail to <tom@mail.example> was rejected: 550"),
    ("MAILER-DAEMON@yahoo.example", "failure delivery", "Unable to deliver message to:\n<tom@mail.example>"),
    ('"Courier mail server at x" <@>', "NOTICE: mail delivery status.", "UNDELIVERABLE MAIL <tom@mail.example>: 550"),
    ("postmaster@x.example", "Mail System Error - Returned Mail", "<tom@mail.example> No such user"),
    ('"InterScan MSS" <admin@x.example>', "Mail could not be delivered", "to tom@mail.example: 554 refused"),
    ("post_master@mobile.example", "Undeliverable Message", "Error: invalid recipient tom@mail.example"),
    ("MDaemon@x.example", "Permanent Delivery Failure", "User unknown: tom@mail.example"),
    ("mailer-daemon@sina.example", "邮件传输失败！", "<tom@mail.example>:\n用户不存在"),
    ("postmaster@x.example", "Échec de la remise : Order", "Votre message à tom@mail.example n'a pas pu être remis"),
    ("mailer-daemon@x.example", "[BOUNCE]", "Error message below:\n550 tom@mail.example"),
    (
        "Mail Administrator <noreply@x.example>",
        "Message you sent blocked by our bulk email filter",
        "tom@mail.example: 554",
    ),
    ("post_master@sms.example", "Re:Order\nIn-Reply-To: <1@x>", "550 - no such user here\nRCPT TO: tom@mail.example"),
    ("no-reply@x.example", "メールエラー通知", f"Could not be delivered to: <tom@mail.example>{RETURNED}"),
    ("no-reply@x.example", "Your mail", f"Could not be delivered to: <tom@mail.example>{RETURNED}"),
    ("noreply@gateway.example", "Undelivered Mail", f"550 5.1.1 user unknown <tom@mail.example>{RETURNED}"),
]


@pytest.mark.parametrize("case", FAILED, ids=lambda case: f"{case[0]}-{case[1]}")
def test_a_bounce_in_prose_is_recognised_by_its_sender_or_returned_message(case: tuple[str, str, str]) -> None:
    bounce = bounce_of(*case)
    assert bounce is not None
    assert (bounce.recipient, bounce.action, bounce.is_permanent) == (TOM, "failed", True)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (
            "No route. (#4.4.1)\nI'm not going to try again; this message has been in the queue too long.",
            "4.4.1",
        ),
        ("451 4.7.1 Greylisted\nretry time not reached; retry timeout exceeded", "4.7.1"),
        ("It has been delayed for 5 days (4.4.7). No further delivery attempts will be made.", "4.4.7"),
        ("Filter 2.0.8 at 10.5.1.1 says: could not be delivered: mailbox full", None),
        ("Version 5.1.1.2 of the filter: 552 over quota", None),
        ("Temporary failure in name resolution. I've given up.", None),
    ],
)
def test_a_final_bounce_is_a_failure_whatever_the_last_error(text: str, status: str | None) -> None:
    bounce = bounce_of("MAILER-DAEMON@mx.example", "failure notice", f"<{TOM}>:\n{text}")
    assert bounce is not None
    assert (bounce.action, bounce.is_permanent, bounce.status) == ("failed", True, status)


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (
            "Warning: could not send message for past 4 hours",
            "451 4.4.1 deferred\nWill keep trying until it is 5 days old",
        ),
        ("Delivery Status Notification (Delay)", "Delivery will be retried for 2 more days."),
        ("failure notice", "THIS IS A WARNING MESSAGE ONLY. YOU DO NOT NEED TO RESEND YOUR MESSAGE. 450"),
        ("Mail delivery failed: message delayed", "550-like text; delivery attempts will continue to be made"),
    ],
)
def test_a_delay_report_is_not_a_failure(subject: str, text: str) -> None:
    bounce = bounce_of("mailer-daemon@mx.example", subject, f"{TOM}\n{text}")
    assert bounce is not None
    assert (bounce.action, bounce.is_permanent) == ("delayed", False)


REPORT = """\
From: {sender}
To: bounce@shop.example
Subject: {subject}
Content-Type: {kind}; boundary=b
{fields}
--b

{text}
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; tom@mail.example
{status}

--b--
"""


def report(status: str, kind: str = "multipart/report; report-type=delivery-status", **more: str) -> Bounce | None:
    """What is made of a report with fields."""
    words = {"sender": "noreply@mx.example", "subject": "x", "fields": "", "text": "See below."} | more
    return parse(REPORT.format(status=status, kind=kind, **words).encode()).bounce


@pytest.mark.parametrize(
    ("status", "action"),
    [
        ("Action: failed\nStatus: 5.1.1", "failed"),
        ("Action: failed\nStatus: 4.4.7", "failed"),
        ("Action: Failure\nStatus: 553 too large", "failed"),
        ("Action: expired\nStatus: 4.4.7", "failed"),
        ("Action: failed (message too large)", "failed"),
        ("Status: 5.1.1", "failed"),
        ("Action: delayed\nStatus: 4.4.1", "delayed"),
        ("Action: relayed\nStatus: 2.1.5", "relayed"),
        ("Action: delivered\nStatus: 2.0.0", "delivered"),
    ],
)
def test_a_bounce_with_unusual_fields_is_read(status: str, action: str) -> None:
    bounce = report(status)
    assert bounce is not None
    assert (bounce.recipient, bounce.action, bounce.is_permanent) == (TOM, action, action == "failed")


def test_a_bounce_with_empty_fields_is_read_from_its_text() -> None:
    bounce = report("X: y", text="Your message to tom@mail.example could not be delivered.")
    assert bounce is not None
    assert (bounce.recipient, bounce.action) == (TOM, "failed")


def test_a_mail_server_can_send_a_bounce_without_the_report_type() -> None:
    assert report("Action: failed\nStatus: 5.1.1", "multipart/mixed", sender="MAILER-DAEMON@mx.example") is not None
    assert report("Action: failed\nStatus: 5.1.1", "multipart/mixed", fields="Return-Path: <>\n") is not None


@pytest.mark.parametrize("subject", ["Re: Order", "Fwd: Undelivered Mail Returned to Sender", "Undelivered Mail"])
def test_a_customers_email_with_an_attached_bounce_is_not_a_bounce(subject: str) -> None:
    raw = REPORT.format(
        sender="Tom <tom@mail.example>",
        subject=subject,
        kind="multipart/mixed",
        fields="",
        text="I got this from you, what now?",
        status="Action: failed\nStatus: 5.1.1",
    )
    mail = parse(raw.encode())
    assert (mail.bounce, mail.automatic) == (None, None)
    assert mail.reply_text == "I got this from you, what now?"
    assert [file.name for file in mail.attachments] == ["report.txt"]


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Delivery failed", "My parcel could not be delivered, the address does not exist. What now?"),
        ("Undeliverable?", "Your mail to me was undeliverable: 550 5.1.1 user unknown."),
        ("Re: Undelivered Mail Returned to Sender", "> 550 5.1.1 user unknown\n\nThis is what I got."),
        ("Fwd: Undelivered Mail", f"Look:\n550 5.1.1 user unknown{RETURNED}"),
        ("Returned mail: the letter came back", "The letter was returned because the recipient is unknown."),
        ("Mailbox full", "My mailbox was full, please send it again. I have given up."),
        ("Order 5.1.1", "Is 550 5.1.1 the price? It does not exist in my list."),
        ("Warning: delayed", "My order has been delayed. Will you retry?"),
        ("Zustellung fehlgeschlagen", "Das Paket konnte nicht zugestellt werden."),
    ],
)
def test_a_customer_who_writes_about_a_bounce_is_not_a_mail_server(subject: str, text: str) -> None:
    answers = "In-Reply-To: <1@shop.example>\n" if subject.startswith("Re:") else ""
    assert bounce_of("Tom <tom@mail.example>", subject, text, answers) is None


@pytest.mark.parametrize("head", ["", "From: Tom\n", "From: postmaster@mail.example\nSubject: Re: Order\n"])
def test_an_email_that_reports_no_failure_is_not_a_bounce(head: str) -> None:
    assert parse(f"{head}To: shop@shop.example\n\nIs the green one 550 or 5.1.1?".encode()).bounce is None


def test_complaints_and_read_receipts_are_not_bounces() -> None:
    for kind in ("feedback-report", "disposition-notification"):
        head = (
            f"From: x@mx.example\nSubject: Undelivered\nContent-Type: multipart/report; report-type={kind}; boundary=b"
        )
        mail = parse(f"{head}\n\n--b\n\ncould not be delivered 550\n--b--".encode())
        assert mail.bounce is None
        assert mail.is_automatic


def test_every_bounce_is_an_automatic_email() -> None:
    head = "From: noreply@gateway.example\nSubject: Undelivered Mail\n\n"
    assert parse(f"{head}550 5.1.1 user unknown{RETURNED}".encode()).automatic == Reason.BOUNCE


def test_an_empty_envelope_sender_means_an_automatic_email() -> None:
    raw = b"From: Tom <tom@mail.example>\nSubject: Away\n\nI am away."
    assert parse(raw, envelope_sender="").automatic == Reason.EMPTY_SENDER
    assert parse(raw, envelope_sender="tom@mail.example").automatic is None
    assert parse(raw).automatic is None
    assert parse(b"Return-Path: <MAILER-DAEMON>\n" + raw).automatic == Reason.EMPTY_SENDER
    assert parse(raw, envelope_sender="").bounce is None


ANSWERS = "In-Reply-To: <1@shop.example>\nReferences: <1@shop.example>\n"


@pytest.mark.parametrize(
    "fields",
    [
        "X-Apple-Action: VACATION",
        "X-Apple-Criteria: {kind=VACATION}",
        "X-POST-MessageClass: 9; Autoresponder",
        "X-Vacation: yes",
        "X-Auto-Response: 1",
        "X-AutoReply-From: tom@mail.example",
        "X-Out-Of-Office: true",
        "X-Delivered-To: Autoresponder",
        "Delivered-By-The-Graces-Of-The-Vacation-Program: yes",
        "X-Precedence: auto_reply",
        "Preference: auto_reply",
        "Subject: AUTO: Tom Beck is out of the office (returning 05/10/2026)",
        f"{ANSWERS}Subject: Out of Office: Order",
        f"{ANSWERS}Subject: Automatic reply: Order",
        f"{ANSWERS}Subject: Abwesenheitsnotiz: Order",
        f"{ANSWERS}Subject: Autosvar: Order",
        f"{ANSWERS}Subject: Odpowiedź automatyczna: Order",
        f"{ANSWERS}Subject: Автоответ: Order",
        f"{ANSWERS}Subject: 自动回复: Order",
    ],
)
def test_a_vacation_reply_is_recognised(fields: str) -> None:
    assert parse(f"{fields}\nFrom: Tom <tom@mail.example>\n\nAway.".encode()).is_automatic


@pytest.mark.parametrize(
    "fields",
    [
        "X-Autoreply: no",
        "X-Spam-Report: words of a vacation, autoresponder",
        "X-Mailer: Vacation Rentals Mailer 1.0",
        "X-Original-Subject: out of office",
        "X-Auto-Response-Suppress: RN",
        f"{ANSWERS}Subject: Out of office hours?",
        f"{ANSWERS}Subject: Re: Out of Office: Order",
        "Subject: AUTO: two seats",
        f"{ANSWERS}Subject: Re: Automatic reply: Order",
        "Subject: Auto reply",
    ],
)
def test_a_person_who_writes_about_a_vacation_is_not_automatic(fields: str) -> None:
    assert parse(f"{fields}\nFrom: Tom <tom@mail.example>\n\nHello.".encode()).automatic is None
