"""An inbound email from the mail server to the conversation."""

import signal
import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import TESTS
from harness.installation import SECRET_KEY, Database, Installation, Server
from harness.ports import free_port
from harness.postgres import Postgres
from harness.raw import exchange
from harness.record import small_world
from harness.shop import Shop
from harness.workers import WorkerProcess
from harness.world import World
from shopbell.email.parse import parse
from shopbell.email.reply_addresses import Audience, EmailAddresses
from shopbell.security.keys import Keys

DOMAIN = "mail.shop.example.com"
BACK_WITHIN_S = 60
SAMPLES = TESTS / "unit" / "email" / "samples"
ADDRESSES = EmailAddresses(Keys((SECRET_KEY.encode(),)), sender="hello@mail.shop.example.com", reply_domain=DOMAIN)


class Mailbox:
    """A running server, and the mail server beside it."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port
        self._database = server.installation.database

    def address(self, thread_id: int) -> str:
        """Where a conversation's customer answers to."""
        owner = self._database.value("SELECT organization_id FROM threads WHERE id = :id", id=thread_id)
        address = ADDRESSES.reply(owner, thread_id, Audience.CUSTOMER)
        assert address is not None
        return address

    def deliver(self, raw: bytes, address: str, sender: str = "carol@example.com") -> int:
        """Hand a mail over; the code of the answer."""
        with smtplib.LMTP("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo()
            client.mail(sender)
            code, _ = client.rcpt(address)
            return client.data(raw)[0] if code == 250 else code

    def asks(self, address: str) -> int:
        """Ask whether an address exists, as mail servers do before they take a mail; the code of the answer."""
        with smtplib.LMTP("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo()
            client.mail("")
            return client.rcpt(address)[0]

    def texts(self, thread_id: int) -> list[str]:
        """What the customer has said in a conversation, after the first message."""
        rows = self._database.rows(
            "SELECT body FROM messages WHERE thread_id = :id AND from_customer ORDER BY sequence", id=thread_id
        )
        return [row["body"] for row in rows[1:]]


@contextmanager
def opened(installation: Installation, **settings: object) -> Iterator[Mailbox]:
    """A server that takes mail while the block runs."""
    port = free_port()
    listening = {"mail_listen": f"lmtp://127.0.0.1:{port}", "mail_reply_domain": DOMAIN}
    with installation.serving(**listening, mail_outbox=installation.folder / "outbox", **settings) as server:
        yield Mailbox(server, port)


def test_replies_from_all_email_clients_reach_the_conversation(installation: Installation, people: World) -> None:
    samples = {path.stem: path.read_bytes() for path in sorted(SAMPLES.glob("*.eml"))}
    read = {name: parse(raw) for name, raw in samples.items()}
    carols = [name for name, mail in read.items() if mail.sender == "carol@example.com" and not mail.is_automatic]
    assert len(carols) > 20
    with opened(installation) as mailbox:
        thread_id, other_id = (
            int(Shop(mailbox.server, people).send(user={"email": email}))
            for email in ("carol@example.com", "somebody@example.com")
        )
        for name in carols:
            assert mailbox.deliver(samples[name], mailbox.address(thread_id)) == 250, name
        said = mailbox.texts(thread_id)
        for name in carols:
            assert read[name].reply_text in "\0".join(said), name
        for name in samples.keys() - carols:
            assert mailbox.deliver(samples[name], mailbox.address(other_id)) == 250, name
        assert mailbox.texts(other_id) == []  # neither Dave's word nor a program's is this customer's
        assert "bug" not in mailbox.server.log


def test_only_addresses_of_existing_conversations_are_accepted(installation: Installation, people: World) -> None:
    with opened(installation) as mailbox:
        thread_id = int(Shop(mailbox.server, people).send(user={"email": "carol@example.com"}))
        owner = installation.database.value("SELECT organization_id FROM threads WHERE id = :id", id=thread_id)
        address = mailbox.address(thread_id)
        nobodys = [
            ADDRESSES.reply(
                owner, thread_id + 1_000_000, Audience.CUSTOMER
            ),  # ours by its form, and of no conversation
            ADDRESSES.reply(owner + 1_000_000, thread_id, Audience.BUSINESS),
            address.replace("reply+a", "reply+b"),
            address.replace("reply+", "bounce+"),
            f"reply@{DOMAIN}",
            "postmaster@example.com",
        ]
        assert [mailbox.asks(each) for each in nobodys if each] == [550] * len(nobodys)
        # A report is accepted even if its message is unknown: there is no one to return it to.
        assert [mailbox.asks(each) for each in (address, ADDRESSES.bounce(owner, 1_000_000))] == [250, 250]


def test_an_email_with_an_empty_envelope_sender_is_no_reply(installation: Installation, people: World) -> None:
    raw = b"From: carol@example.com\r\nSubject: Away\r\nMessage-ID: <%d@example.com>\r\n\r\nI am away."
    with opened(installation) as mailbox:
        thread_id = int(Shop(mailbox.server, people).send(user={"email": "carol@example.com"}))
        address = mailbox.address(thread_id)
        assert mailbox.deliver(raw % 1, address, sender="") == 250
        assert mailbox.texts(thread_id) == []
        assert mailbox.deliver(raw % 2, address) == 250
        assert mailbox.texts(thread_id) == ["I am away."]


def test_a_bounce_of_an_unknown_email_becomes_a_note(installation: Installation, people: World) -> None:
    raw = (SAMPLES / "bounce-postfix.eml").read_bytes()
    assert parse(raw).bounce is not None
    with opened(installation) as mailbox:
        thread_id = int(Shop(mailbox.server, people).send(user={"email": "carol@example.com"}))
        assert mailbox.deliver(raw, mailbox.address(thread_id), sender="") == 250
        assert mailbox.texts(thread_id) == []
        notes = installation.database.rows(
            "SELECT body FROM messages WHERE thread_id = :id AND internal ORDER BY sequence", id=thread_id
        )
        assert len(notes) == 1


def test_a_worker_leaves_the_smtp_port_to_the_server(installation: Installation) -> None:
    with opened(installation) as mailbox:
        listen = f"lmtp://127.0.0.1:{mailbox.port}"
        worker = WorkerProcess(installation, mail_listen=listen, mail_reply_domain=DOMAIN)
        try:
            worker.wait_until_started()
        finally:
            assert worker.terminate() == 0


def test_a_server_reports_that_its_smtp_port_is_in_use(installation: Installation) -> None:
    with opened(installation) as mailbox:
        listen = f"lmtp://127.0.0.1:{mailbox.port}"
        second = Installation(
            installation.database,
            installation.folder,
            {"SHOPBELL_MAIL_LISTEN": listen, "SHOPBELL_MAIL_REPLY_DOMAIN": DOMAIN},
        ).run("serve", "--port", "0")
    assert second.returncode == 1
    assert "SHOPBELL_MAIL_LISTEN: cannot listen on 127.0.0.1" in second.stderr
    assert "Traceback" not in second.stderr


def test_during_a_database_outage_an_email_stays_with_its_sender_and_is_stored_once(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    installation = Installation(Database(own_postgres.url()), tmp_path)
    record = small_world(installation)
    with opened(installation) as mailbox:
        assert exchange(mailbox.server.port, record.next().request, timeout_s=30).status == 200
        thread_id = installation.database.value("SELECT id FROM threads")
        address = mailbox.address(thread_id)
        email = installation.database.value("SELECT value FROM customer_identities WHERE kind = 'email'")
        raw = f"From: {email}\r\nMessage-ID: <1@example.com>\r\n\r\nYes, on Friday.\r\n".encode()
        own_postgres.stop(signal.SIGINT)
        assert mailbox.deliver(raw, address) == 451
        own_postgres.start()
        deadline_s = time.monotonic() + BACK_WITHIN_S
        while (code := mailbox.deliver(raw, address)) == 451:
            assert time.monotonic() < deadline_s
        assert code == 250
        assert mailbox.deliver(raw, address) == 250
        assert mailbox.texts(thread_id) == ["Yes, on Friday."]
        metrics = mailbox.server.client.get("/metrics").text
        assert 'shopbell_mails_in_total{answer="kept"} 2.0' in metrics
        assert 'shopbell_mails_in_total{answer="later"}' in metrics
