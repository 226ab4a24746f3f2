"""``shopbell mail test`` sends one email and prints the server's reply."""

import json
from pathlib import Path

import pytest

from harness.installation import Installation
from harness.ports import free_port
from harness.smtp import PASSWORD, USER, SmtpServer

YOU = "you@example.com"


@pytest.fixture
def engine() -> str:
    """Mail servers know nothing of databases."""
    return "sqlite"


def with_server(installation: Installation, url: str, **more: str) -> Installation:
    """The installation with a mail server of its own."""
    installation.settings = {
        **installation.settings,
        "SHOPBELL_SMTP_URL": url,
        "SHOPBELL_SMTP_STARTTLS": "never",
        "SHOPBELL_MAIL_FROM": "shop@chat.example.org",
        "SHOPBELL_PUBLIC_URL": "https://chat.example.org",
        **more,
    }
    return installation


def test_the_email_arrives_and_the_servers_reply_is_printed(installation: Installation) -> None:
    with SmtpServer() as server:
        domain = {"SHOPBELL_MAIL_REPLY_DOMAIN": "reply.chat.example.org"}
        done = with_server(installation, server.url, **domain).run("mail", "test", YOU)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == "Sent. The mail server responded: 250 OK"
        (mail,) = server.received
        assert mail.recipients == (YOU,)
        assert mail.sender.startswith("bounce+")
        assert mail.sender.endswith("@reply.chat.example.org")  # SPF is checked for the domain of real mails
        assert mail.message["From"] == "Shopbell <shop@chat.example.org>"
        assert "https://chat.example.org/" in mail.message.get_content()


def test_programs_get_the_result_as_json(installation: Installation) -> None:
    with SmtpServer(answers={"RCPT": ["550 5.1.1 No such user"]}) as server:
        ours = with_server(installation, server.url)
        refused = ours.run("mail", "test", YOU, "--json")
        assert (refused.returncode, json.loads(refused.stdout)) == (
            1,
            {"sent": False, "reason": "mailbox_unknown 5.1.1", "answer": "550 5.1.1 No such user"},
        )
        assert ours.cli("mail", "test", YOU)["sent"] is True


@pytest.mark.parametrize(
    ("answers", "reason", "answer"),
    [
        ({"MAIL": "535 5.7.8 Log in first"}, "authentication_failed", "535 5.7.8 Log in first"),
        ({"RCPT": "550 5.7.1 Relaying denied"}, "policy_refused 5.7.1", "550 5.7.1 Relaying denied"),
        ({"READY": "554 5.5.1 No"}, "protocol_error 5.5.1", "554 5.5.1 No"),
        ({"DATA": "554 5.6.0 Looks like spam"}, "content_refused 5.6.0", "554 5.6.0 Looks like spam"),
    ],
)
def test_a_rejection_is_reported_in_the_servers_words(
    installation: Installation, answers: dict[str, str | list[str]], reason: str, answer: str
) -> None:
    with SmtpServer(answers=answers) as server:
        done = with_server(installation, server.url).run("mail", "test", YOU)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"shopbell: not sent: {reason}", f"shopbell: the mail server: {answer}"]


def test_a_wrong_password_is_reported_and_not_printed(installation: Installation) -> None:
    with SmtpServer(needs_login=True) as server:
        url = server.url.replace("://", f"://{USER}:wrong-horse@")
        done = with_server(installation, url).run("mail", "test", YOU)
    assert done.returncode == 1
    assert "not sent: authentication_failed" in done.stderr
    assert "535" in done.stderr
    assert "wrong-horse" not in done.stdout + done.stderr
    assert PASSWORD not in done.stderr


def test_an_unreachable_server_is_reported(installation: Installation) -> None:
    done = with_server(installation, f"smtp://127.0.0.1:{free_port()}").run("mail", "test", YOU)
    assert done.returncode == 1
    assert "not sent: connection_failed" in done.stderr


def test_without_a_mail_server_the_settings_are_named(installation: Installation) -> None:
    done = installation.run("mail", "test", YOU)
    assert done.returncode == 1
    assert "SHOPBELL_SMTP_URL" in done.stderr
    assert "SHOPBELL_MAIL_FROM" in done.stderr
    assert not Path(installation.folder / "data" / "outbox").exists()


def test_an_invalid_address_is_refused(installation: Installation) -> None:
    with SmtpServer() as server:
        done = with_server(installation, server.url).run("mail", "test", "you")
        assert server.received == []
    assert done.returncode == 1
    assert "must be an email address" in done.stderr
