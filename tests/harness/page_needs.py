"""What the commands of some pages need, beside a server: files, and other programs that run."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import make_url

from harness.certificates import Authority
from harness.chatwoot_tables import TABLES
from harness.databases import Databases
from harness.name_server import NameServer
from harness.nats import Nats
from harness.page_blocks import Block
from harness.page_runner import PageRunner
from harness.ports import free_port
from harness.s3 import S3
from harness.smtp import SmtpServer

Need = Callable[[PageRunner, Databases], AbstractContextManager[None]]

HOOK = "https://shop.example.com/hook"
_USERS = (
    {"id": 1, "name": "Mallory", "email": "mallory@elsewhere.example", "role": "agent"},
    {"id": 2, "name": "Carol Jones", "email": "carol@example.com", "role": "end-user"},
    {"id": 3, "name": "Dave", "email": "dave@example.com", "role": "end-user"},
)
_CONTACTS = "Name,E-mail,Phone\nCarol Jones,carol@example.com,+1 617 555 0100\n"


def _ticket(id_: int, requester: int, *authors: int) -> dict[str, object]:
    """A ticket of Zendesk with one comment of each author, in this order."""
    written = {"body": "About the bell", "created_at": "2023-11-14T10:00:00Z"}
    comments = [{"author_id": author, **written} for author in authors]
    return {"id": id_, "requester_id": requester, "subject": "Bell", "status": "solved", "comments": comments}


@contextmanager
def exports(runner: PageRunner, databases: Databases) -> Iterator[None]:
    """Exports of Zendesk, contacts as CSV, and a database of Chatwoot."""
    tickets = (_ticket(41, 3, 3), _ticket(42, 2, 2, 1, 2))
    for name, records in {"users.json": _USERS, "tickets.json": tickets}.items():
        (runner.work / name).write_text("".join(f"{json.dumps(record)}\n" for record in records))
    (runner.work / "customers.csv").write_text(_CONTACTS)
    database = databases.empty()
    with database.connection() as connection:
        connection.exec_driver_sql(TABLES)
    url = make_url(database.url)
    add_postgres_programs(runner, databases, "psql")
    runner.export(PGHOST=url.host, PGPORT=url.port, PGUSER=url.username, PGPASSWORD=url.password)
    runner.real["chatwoot_production"] = url.database or ""
    yield
    databases.drop(database)


@contextmanager
def backups(runner: PageRunner, databases: Databases) -> Iterator[None]:
    """Disks and a bucket for backups, and a webhook."""
    for place in ("/mnt/backups", "/srv/backups", "/var/backups"):
        _place(runner, place).mkdir(parents=True)
    _webhook(runner, "12350")
    with mail(runner), _bucket(runner, "acme-backups", "SHOPBELL_BACKUP"):
        yield


@contextmanager
def operations(runner: PageRunner, databases: Databases) -> Iterator[None]:
    """Disks, a bucket, NATS, an empty database of PostgreSQL, and a webhook."""
    for place in ("/mnt/backups", "/var/lib/shopbell"):
        _place(runner, place).mkdir(parents=True)
    _webhook(runner, "12350")
    database = databases.empty()
    nats = Nats(runner.folder)
    nats.start()
    runner.real |= {
        "9108": str(free_port()),
        "nats://nats.example.com:4222": nats.url,
        "postgresql://shopbell@db.example.com/shopbell": database.url,
    }
    with mail(runner), _bucket(runner, "acme-shopbell", "SHOPBELL_ATTACHMENTS"):
        yield
    nats.stop()
    databases.drop(database)


@contextmanager
def _bucket(runner: PageRunner, name: str, prefix: str) -> Iterator[None]:
    """A bucket of S3 whose settings begin with a prefix."""
    s3 = S3(runner.folder, name)
    runner.real["https://s3.example.com"] = s3.endpoint
    for setting in (f"{prefix}_S3_ACCESS_KEY_ID", f"{prefix}_S3_SECRET_ACCESS_KEY"):
        runner.real[f"{setting}=…"] = f"{setting}=any"
    s3.start()
    try:
        yield
    finally:
        s3.stop()


def _webhook(runner: PageRunner, shown: str) -> None:
    """A webhook of the organization, under the id that the page shows."""
    create = f"$ shopbell webhooks create --organization 12344 {HOOK}\nwebhook {shown}\n…\n"
    runner.run(Block("console", create, 0))


@contextmanager
def upgrade(runner: PageRunner, databases: Databases) -> Iterator[None]:
    """A disk for backups."""
    _place(runner, "/var/backups").mkdir(parents=True)
    with mail(runner):
        yield


@contextmanager
def emails(runner: PageRunner, databases: Databases) -> Iterator[None]:
    """A mail server, a certificate, and ports for incoming email."""
    Authority().server("chat.example.org", runner.folder)
    certificate = str(runner.folder / "chat.example.org.pem")
    with SmtpServer() as smtp:
        runner.real |= {
            "smtp://user:password@mail.example.org:587": smtp.url,
            "smtp://127.0.0.1:2525": smtp.url,
            "lmtp://127.0.0.1:8024": f"lmtp://127.0.0.1:{free_port()}",
            "smtp://0.0.0.0:8025": f"smtp://127.0.0.1:{free_port()}",
            "/etc/letsencrypt/live/chat.example.org/fullchain.pem": certificate,
            "/etc/letsencrypt/live/chat.example.org/privkey.pem": certificate,
        }
        runner.export(SHOPBELL_SMTP_STARTTLS="never")
        yield
        assert len(smtp.received) == 2


@contextmanager
def mail(runner: PageRunner) -> Iterator[None]:
    """A mail server and a name server, so that `shopbell doctor` finds no error."""
    with SmtpServer() as smtp, NameServer() as names:
        runner.doctor_options = ("--nameserver", "{}:{}".format(*names.address))
        runner.export(SHOPBELL_SMTP_URL=smtp.url, SHOPBELL_SMTP_STARTTLS="never", SHOPBELL_SMS_PROVIDER="none")
        runner.export(SHOPBELL_MAIL_FROM="shop@chat.example.org")
        yield


def add_postgres_programs(runner: PageRunner, databases: Databases, *names: str) -> None:
    """Let the page's commands find programs of PostgreSQL."""
    for name in names:
        runner.add_program(name, f'"{databases.postgres().binaries / name}" "$@"')


def _place(runner: PageRunner, place: str) -> Path:
    """The folder that stands for a folder of the page."""
    real = runner.folder / "places" / place.lstrip("/")
    runner.real[place] = str(real)
    return real
