"""Inbound email from a mailbox of a real Dovecot is stored once."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote

import pytest

from harness.dovecot import PASSWORD, USER, Dovecot
from harness.installation import Installation, Server
from harness.reply_desk import CUSTOMER, DOMAIN, ReplyDesk
from harness.waiting import wait_until
from harness.workers import WorkerProcess
from harness.world import World

DONE, FAILED = "Shopbell", "Shopbell failed"
# A worker that dies when an email is stored and not moved yet, as by `kill -9`.
DIES_BEFORE_MOVING = """
import os, signal
from shopbell.channels.email.imap import ImapConnection
async def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
ImapConnection.move = die
from shopbell.cli import main
main()
"""


@pytest.fixture
def mailbox() -> Iterator[Dovecot]:
    """A mailbox on an IMAP server."""
    with Dovecot.running() as running:
        yield running


def settings_for(mailbox: Dovecot) -> dict[str, object]:
    """The settings that an operator makes."""
    login = f"{quote(USER)}:{quote(PASSWORD, safe='')}"
    return {
        "imap_url": f"imaps://{login}@localhost:{mailbox.port}",
        "mail_reply_domain": DOMAIN,
        "outbound_allow": f"localhost:{mailbox.port}",
    }


@pytest.fixture
def trusting(installation: Installation, mailbox: Dovecot) -> Installation:
    """An installation that trusts the certificate of the mailbox's server."""
    return replace(installation, settings={**installation.settings, "SSL_CERT_FILE": str(mailbox.trusted)})


@contextmanager
def reading(installation: Installation, mailbox: Dovecot, **more: object) -> Iterator[Server]:
    """A server that reads the mailbox while the block runs."""
    with installation.serving(**settings_for(mailbox) | more) as server:
        yield server


def wait_until_in(mailbox: Dovecot, folder: str, count: int, log: Server | WorkerProcess) -> None:
    """Wait until a folder has so many emails."""
    wait_until(lambda: len(mailbox.emails(folder)) == count, lambda: f"{mailbox.emails(folder)}\n{log.log}")


def test_a_reply_is_stored_and_moved_when_it_arrives(trusting: Installation, mailbox: Dovecot, people: World) -> None:
    with reading(trusting, mailbox) as server:
        desk = ReplyDesk(trusting, server, people)
        wait_until(lambda: "reading the mailbox" in server.log, lambda: server.log)
        for number, text in enumerate(("Yes, on Friday.", "Or on Monday."), 1):
            mailbox.deliver(desk.reply(text))
            wait_until_in(mailbox, DONE, number, server)
        assert desk.texts() == ["Yes, on Friday.", "Or on Monday."]
        assert mailbox.emails() == []
        wait_until(
            lambda: 'shopbell_mailbox_emails_total{result="kept"} 2.0' in server.client.get("/metrics").text,
            lambda: "the emails are not counted",
        )
        for private in (CUSTOMER, "Friday", USER):
            assert private not in server.log


def test_after_a_restart_emails_are_taken_once(trusting: Installation, mailbox: Dovecot, people: World) -> None:
    with reading(trusting, mailbox) as server:
        desk = ReplyDesk(trusting, server, people)
        mailbox.deliver(desk.reply("Yes, on Friday."))
        wait_until_in(mailbox, DONE, 1, server)
    mailbox.deliver(desk.reply("Or on Monday."))
    with reading(trusting, mailbox) as server:
        wait_until_in(mailbox, DONE, 2, server)
        assert desk.texts() == ["Yes, on Friday.", "Or on Monday."]


def test_an_email_is_stored_once_if_the_process_dies_before_it_is_moved(
    trusting: Installation, mailbox: Dovecot, people: World
) -> None:
    with reading(trusting, mailbox, run_worker="false") as server:
        desk = ReplyDesk(trusting, server, people)
        mailbox.deliver(desk.reply("Yes, on Friday."))
        dying = replace(trusting, server_program=("-c", DIES_BEFORE_MOVING))
        worker = WorkerProcess(dying, 1, **settings_for(mailbox))
        assert worker.wait() == -signal.SIGKILL
        assert desk.texts() == ["Yes, on Friday."]
        assert len(mailbox.emails()) == 1
        worker = WorkerProcess(trusting, 2, **settings_for(mailbox))
        try:
            wait_until_in(mailbox, DONE, 1, worker)
        finally:
            worker.stop()
        assert desk.texts() == ["Yes, on Friday."]


def test_two_workers_take_each_email_once(trusting: Installation, mailbox: Dovecot, people: World) -> None:
    with reading(trusting, mailbox, run_worker="false") as server:
        desk = ReplyDesk(trusting, server, people)
        workers = [WorkerProcess(trusting, number, **settings_for(mailbox)) for number in (1, 2)]
        try:
            wait_until(
                lambda: any("reading the mailbox" in each.log for each in workers),
                lambda: "\n".join(each.log for each in workers),
            )
            mailbox.deliver(desk.reply("Yes, on Friday."))
            wait_until_in(mailbox, DONE, 1, workers[0])
            assert sum("reading the mailbox" in each.log for each in workers) == 1
            reader, other = sorted(workers, key=lambda each: "reading the mailbox" not in each.log)
            assert reader.terminate() == 0
            mailbox.deliver(desk.reply("Or on Monday."))
            wait_until_in(mailbox, DONE, 2, other)
        finally:
            for each in workers:
                each.stop()
        assert desk.texts() == ["Yes, on Friday.", "Or on Monday."]


def test_after_the_server_numbers_its_emails_again_nothing_is_missed_or_repeated(
    trusting: Installation, mailbox: Dovecot, people: World
) -> None:
    with reading(trusting, mailbox) as server:
        desk = ReplyDesk(trusting, server, people)
        for text in ("One.", "Two."):
            mailbox.deliver(desk.reply(text))
        wait_until_in(mailbox, DONE, 2, server)
    mailbox.stop()
    mailbox.number_again()
    mailbox.start()
    # The numbers begin at 1 again, below the position that was stored.
    mailbox.deliver(desk.reply("Three."))
    with reading(trusting, mailbox) as server:
        wait_until_in(mailbox, DONE, 3, server)
        assert desk.texts() == ["One.", "Two.", "Three."]


def test_an_email_that_cannot_be_stored_is_set_aside_and_the_next_one_is_read(
    trusting: Installation, mailbox: Dovecot, people: World
) -> None:
    with reading(trusting, mailbox, mail_limit_bytes=65_536) as server:
        desk = ReplyDesk(trusting, server, people)
        mailbox.deliver(desk.reply("x" * 70_000))
        mailbox.deliver(desk.reply("Forged.", to="reply+aaaaaaaaaaaaaaaaaaaaaaaa@shop.example.com"))
        mailbox.deliver(b"\xff\xfe\0 no header\r\nTo: " + desk.address.encode() + b"\r\n\0\xff")
        mailbox.deliver(desk.reply("For a colleague.", to="owner@shop.example.com"))
        mailbox.deliver(desk.reply("Yes, on Friday."))
        wait_until_in(mailbox, FAILED, 2, server)
        wait_until(lambda: "Yes, on Friday." in desk.texts(), lambda: server.log)
        wait_until_in(mailbox, "", 1, server)
        assert b"For a colleague." in mailbox.emails()[0]  # it is not for Shopbell


def test_the_mailbox_is_read_again_once_its_server_is_back(
    trusting: Installation, mailbox: Dovecot, people: World
) -> None:
    with reading(trusting, mailbox) as server:
        desk = ReplyDesk(trusting, server, people)
        wait_until(lambda: "reading the mailbox" in server.log, lambda: server.log)
        mailbox.stop()
        wait_until(lambda: "the mailbox cannot be read" in server.log, lambda: server.log)
        mailbox.deliver(desk.reply("Yes, on Friday."))
        mailbox.start()
        wait_until_in(mailbox, DONE, 1, server)
        assert desk.texts() == ["Yes, on Friday."]
        assert server.client.get("/readyz").status_code == 200


class Provider(ThreadingHTTPServer):
    """An OAuth 2.0 provider: gives out access tokens, and tells the IMAP server whose they are."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.refreshed: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Respond while the block runs."""
        thread = threading.Thread(target=self.serve_forever)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Requests(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.path == "/token":
            self.server.refreshed.append(form["refresh_token"][0])
            number = len(self.server.refreshed)
            answer = {"access_token": f"access-{number}", "expires_in": 3_600, "refresh_token": f"refresh-{number}"}
        else:
            is_good = form["token"] == [f"access-{len(self.server.refreshed)}"]
            answer = {"active": is_good, "username": USER if is_good else ""}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Write nothing."""


def test_it_logs_in_with_access_tokens(installation: Installation, people: World) -> None:
    provider = Provider()
    with provider.running(), Dovecot.running(f"{provider.url}/introspect") as mailbox:
        trusting = replace(installation, settings={**installation.settings, "SSL_CERT_FILE": str(mailbox.trusted)})
        oauth = {
            "imap_url": f"imaps://{quote(USER)}@localhost:{mailbox.port}",
            "imap_oauth_token_url": f"{provider.url}/token",
            "imap_oauth_client_id": "shopbell",
            "imap_oauth_refresh_token": "refresh-0",
            "outbound_allow": f"localhost:{mailbox.port},127.0.0.1:{provider.server_port}",
        }
        with reading(trusting, mailbox, **oauth) as server:
            desk = ReplyDesk(trusting, server, people)
            mailbox.deliver(desk.reply("Yes, on Friday."))
            wait_until_in(mailbox, DONE, 1, server)
        mailbox.deliver(desk.reply("Or on Monday."))
        with reading(trusting, mailbox, **oauth) as server:
            wait_until_in(mailbox, DONE, 2, server)
        assert desk.texts() == ["Yes, on Friday.", "Or on Monday."]
    assert provider.refreshed == ["refresh-0", "refresh-1"]
