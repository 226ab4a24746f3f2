"""``shopbell init``."""

import asyncio
import secrets
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from sqlalchemy.engine import URL

from shopbell.accounts import invitations
from shopbell.channels.email.smtp import SmtpTransport
from shopbell.cli import init_questions
from shopbell.cli.access import load_settings
from shopbell.cli.dialog import Answers, Dialog, Question, is_at_terminal, show
from shopbell.cli.listening import link_base, server_url
from shopbell.cli.mail import send_test
from shopbell.cli.output import JSON, print_facts, print_json, say
from shopbell.db.connect import connect_database, open_database
from shopbell.db.migrate import state
from shopbell.errors import CommandError, StorageError
from shopbell.operations import first_steps, settings_file
from shopbell.operations.demo import curl_command
from shopbell.operations.doctor.address import check_name
from shopbell.operations.doctor.dns_records import DnsRecords
from shopbell.operations.doctor.findings import Finding, Level, ok
from shopbell.operations.doctor.machine import clock, data_folder, disk
from shopbell.operations.doctor.mail import check_smtp
from shopbell.operations.first_steps import FirstSteps, Wanted
from shopbell.runtime.clock import now_ms
from shopbell.safe_http.dns import SystemResolver
from shopbell.security import keys
from shopbell.security.files import write_private
from shopbell.settings import sources
from shopbell.settings.database_urls import parse_database_url
from shopbell.settings.mail import LOOPBACK
from shopbell.settings.settings import Settings

app = typer.Typer()

_UNKNOWN_TOKEN = "TOKEN"  # noqa: S105 - a placeholder
_LOCAL_PROXY = "127.0.0.1, ::1"
"""Shopbell speaks no TLS, so https needs a proxy; most run on the same machine."""
_ASKED = ("public_url", "smtp_url", "mail_from")
_ORDER = (
    "public_url",
    "trusted_proxies",
    "database_url",
    "secret_key",
    "smtp_url",
    "smtp_starttls",
    "mail_from",
    "sms_provider",
)
"""The order in the file."""


@app.command("init")
def initialize(
    public_url: Annotated[str | None, typer.Option(metavar="URL", help="Public address of this server.")] = None,
    smtp_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Mail server: smtp://user:password@host:587; empty for none. Other users of this machine can see the "
            "password: rather set SHOPBELL_SMTP_URL.",
        ),
    ] = None,
    mail_from: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Sender address of emails.")] = None,
    test_mail: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Send a test email to it.")] = None,
    database_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Database. Default: SQLite in the folder data.")
    ] = None,
    organization: Annotated[str | None, typer.Option(metavar="NAME", help="Name of your organization.")] = None,
    business: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name that customers see. Default: the organization's.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Country of phone numbers without a +, such as US.")] = None,
    owner: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Email address of the first owner.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing, and use the defaults.")] = False,
    no_checks: Annotated[bool, typer.Option("--no-checks", help="Do not check the values.")] = False,
    json: JSON = False,
) -> None:
    """Set up an installation and write its settings file.

    It asks for what is not given. Run it again to continue after an error: it keeps what is there.
    """
    flags = {"public_url": public_url, "smtp_url": smtp_url, "mail_from": mail_from, "database_url": database_url}
    names = {"organization": organization, "business": business, "region": region, "owner": owner}
    given = {name: sources.variable(name) if text is None else text for name, text in flags.items()} | names
    dialog = Dialog(
        {name: text for name, text in given.items() if text is not None},
        asks=is_at_terminal() and not yes,
        takes_defaults=yes,
    )
    file = sources.file().absolute()
    is_new = not file.exists()
    if is_new:
        values = _ask_for_settings(dialog, given["database_url"], is_checked=not no_checks)
    else:
        _check_existing_file(flags, is_checked=not no_checks)
    dialog.ask(init_questions.FIRST_STEPS)
    dialog.finish()
    if is_new:
        write_private(file, settings_file.compose(values).encode(), replace=False)
        say(f"Wrote {file}", error=True)
    chosen = load_settings()
    _send_test_email(chosen, dialog, test_mail, proposed=not no_checks)  # may fail: nothing is created yet
    done = _create(chosen, dialog.answers)
    _show(file, chosen, done, json=json)


def _ask_for_settings(dialog: Dialog, database_url: str | None, *, is_checked: bool) -> dict[str, str]:
    """Ask for the settings of a new file.

    Returns:
        What to write into it, by name.
    """
    base = _database_settings(database_url)
    address, mail = init_questions.of_settings(base)

    def chosen(answers: Answers) -> dict[str, str]:
        values = base | {name: answers[name] for name in _ASKED if answers.get(name)}
        if _is_local(values.get("smtp_url", "")) and sources.variable("smtp_starttls") is None:
            values["smtp_starttls"] = "never"
        return values

    def ask(questions: Sequence[Question], check: Callable[[Settings], list[Finding]]) -> None:
        dialog.ask(
            questions, (lambda answers: check(init_questions.preview(**chosen(answers)))) if is_checked else None
        )

    ask((), _check_machine)
    ask((address,), _check_address)
    ask(mail, _check_mail)
    values = chosen(dialog.answers)
    if values.get("public_url", "").startswith("https:"):
        values["trusted_proxies"] = _LOCAL_PROXY
    if sources.variable("sms_provider") is None:
        values["sms_provider"] = "none"
    return {name: values[name] for name in _ORDER if name in values}


def _is_local(smtp_url: str) -> bool:
    """Whether the mail server is on this machine, where it needs no certificate."""
    parts = urlsplit(smtp_url)
    return parts.scheme == "smtp" and parts.hostname in LOOPBACK


def _database_settings(url: str | None) -> dict[str, str]:
    """Return the settings of the database. A SQLite file gets an absolute path, which is right in any folder."""
    values = {"database_url": url or Settings.model_fields["database_url"].default}
    try:
        is_sqlite = parse_database_url(values["database_url"]).get_backend_name() == "sqlite"
    except ValueError as error:
        raise CommandError(f"--database-url: {error}") from None
    if is_sqlite:
        path = Path(parse_database_url(values["database_url"]).database or "").absolute()
        values["database_url"] = URL.create("sqlite", database=str(path)).render_as_string()
        if init_questions.preview(**values).sqlite_path != path:
            raise CommandError(f"a URL cannot name the file {path}; choose a folder without special characters")
    elif sources.variable("secret_key") is None:
        values["secret_key"] = secrets.token_hex(keys.KEY_BYTES)
    init_questions.preview(**values)
    return values


def _check_existing_file(flags: Mapping[str, str | None], *, is_checked: bool) -> None:
    """Say that the settings come from the file.

    Raises:
        CommandError: an option contradicts it.
    """
    chosen, file, kept = load_settings(), sources.file(), sources.file_values()
    for name, text in flags.items():
        if text is None:
            continue
        if name == "database_url":
            text = _database_settings(text)[name]
        if str(kept.get(name, "")) not in (text, init_questions.with_scheme(text)):
            option = f"--{name.replace('_', '-')}"
            raise CommandError(f"{file} exists and has another {name}; change it there, and leave out {option}")
    say(f"{file} exists; it is used and not changed.", error=True)
    if is_checked:
        show([*_check_machine(chosen), *_check_address(chosen), *_check_mail(chosen)])


def _check_machine(chosen: Settings) -> list[Finding]:
    if chosen.is_sqlite:
        return [clock(now_ms()), disk(chosen.sqlite_path), data_folder(chosen.sqlite_path)]
    database = connect_database(chosen)
    try:
        database.read_now(state)
    except StorageError as error:
        reached = Finding(Level.ERROR, "database", str(error), "check that it is running, and --database-url")
    else:
        reached = ok("database", "it can be reached")
    finally:
        database.engine.dispose()
    return [clock(now_ms()), reached]


def _check_address(chosen: Settings) -> list[Finding]:
    return [asyncio.run(check_name(chosen, resolve=SystemResolver(), records=DnsRecords()))]


def _check_mail(chosen: Settings) -> list[Finding]:
    transport = SmtpTransport.of(chosen)
    return [] if transport is None else [asyncio.run(check_smtp(transport, chosen))]


def _create(chosen: Settings, answers: Answers) -> FirstSteps:
    owned = keys.load(chosen)
    wanted = Wanted(
        answers["organization"],
        {"name": answers["business"], "region": answers["region"], "email": answers["owner"]},
        answers["owner"],
    )
    database = open_database(chosen)
    try:
        return database.write_now(first_steps.ensure, owned, wanted, issuer=chosen.oidc_issuer, now_ms=now_ms())
    finally:
        database.engine.dispose()


def _send_test_email(chosen: Settings, dialog: Dialog, address: str | None, *, proposed: bool) -> None:
    if address is None and proposed and chosen.smtp_url is not None:
        owner = dialog.answers["owner"]
        address = owner if dialog.confirm(f"Send a test email to {owner}?") else None
    if address is not None:
        reason, answer = send_test(chosen, address)
        if reason is None:
            say(f"Sent a test email to {address}. Look into the mailbox, and into the spam folder.", error=True)
        else:
            say(f"The test email was not sent: {reason} {answer}".rstrip(), error=True)


def _show(file: Path, chosen: Settings, done: FirstSteps, *, json: bool) -> None:
    program, config = shlex.quote(_program()), f"--config {shlex.quote(str(file))}"
    serve = f"{program} serve {config}"
    token = done.secret or _UNKNOWN_TOKEN
    command = curl_command(server_url(chosen.host, chosen.port), token, done.business.id)
    link = None if done.invitation is None else f"{link_base(chosen)}{invitations.PATH}{done.invitation}"
    if json:
        print_json(
            {
                "config": str(file),
                "organizationId": str(done.organization.id),
                "businessId": str(done.business.id),
                "employeeId": str(done.owner.id),
                "tokenId": str(done.token.id),
                "created": sorted(done.created),
                "token": done.secret,
                "link": link,
                "serve": serve,
                "curl": command,
            }
        )
        return
    things = (
        ("organization", f"{done.organization.id}  {done.organization.name}"),
        ("business", f"{done.business.id}  {done.business.name}"),
        ("owner", f"{done.owner.id}  {done.owner.email}"),
        ("token", f"{done.token.id}  {done.secret or f'…{done.token.hint}'}"),
    )
    print_facts((name, text if name in done.created else f"{text}  (existed)") for name, text in things)
    say("")
    if done.secret:
        say("Save the token: it cannot be shown again.")
    else:
        say("The token was shown when it was created. To replace it:")
        say(f"  {program} token rotate {done.token.id} {config}")
    say("Start the server:")
    say(f"  {serve}")
    if link is not None:
        say("Open this link to set the owner's password. It works once, for an hour; `init` prints a new one.")
        say(f"  {link}")
    say("Check everything, also the certificate and the DNS records of email:")
    say(f"  {program} doctor {config}")
    say("Send a first message from another terminal:")
    say(f"  {command}")


def _program() -> str:
    """Return the command with which this program can be run again."""
    started = Path(sys.argv[0])
    is_script = started.name == "shopbell" and started.is_file()
    return str(started.absolute()) if is_script and shutil.which("shopbell") is None else "shopbell"
