"""The questions of ``shopbell init``."""

import re
from ipaddress import ip_address
from typing import cast
from urllib.parse import quote, unquote, urlsplit

from shopbell.cli.dialog import Answers, Question
from shopbell.errors import SettingsError
from shopbell.organizations import business_fields, employees
from shopbell.settings.mail import NO_SENDER
from shopbell.settings.settings import Settings, load_without_file
from shopbell.settings.sources import PREFIX, variable

_LOCAL = r"(localhost|127\.0\.0\.1)(:\d+)?/?"


def preview(**values: str) -> Settings:
    """Return the settings that a file with these values leads to. The sender of emails may still be missing.

    Raises:
        SettingsError: a value is not valid.
    """
    return load_without_file(**({"mail_from": NO_SENDER} | values))


def setting(name: str, text: str, **others: str) -> str:
    """Check a value as the settings check it.

    Args:
        name: the setting, as in the file.
        others: settings that are known already.

    Raises:
        ValueError: it is not valid, or an environment variable has another value, which would be used instead.
    """
    place = f"{PREFIX}{name.upper()}"
    if variable(name) not in (None, text):
        raise ValueError(f"differs from the environment variable {place}, which overrides the settings file")
    try:
        preview(**(others | {name: text}))
    except SettingsError as error:
        own = [line.removeprefix(f"{place}: ") for line in str(error).splitlines() if line.startswith(f"{place}: ")]
        if own:
            raise ValueError(own[0]) from None
        raise
    return text


def with_scheme(address: str) -> str:
    """Complete an address without a scheme: https, or http on this machine, where browsers trust it, too."""
    if not address or "://" in address:
        return address
    return f"{'http' if re.fullmatch(_LOCAL, address) else 'https'}://{address}"


def of_settings(base: dict[str, str]) -> tuple[Question, tuple[Question, Question]]:
    """Return the question for the public address, and those for the mail server.

    Args:
        base: settings that are known already.
    """
    address = Question(
        "public_url",
        "Public address of this server, such as https://chat.example.org",
        lambda text, _: setting("public_url", with_scheme(text), **base),
    )
    server = Question(
        "smtp_url",
        "Mail server, such as smtp://user@mail.example.org:587 (empty: none for now)",
        lambda text, _: setting("smtp_url", text, **base) if text else "",
        default=lambda _: "",
        secret=_user_without_password,
        join=_with_password,
    )
    sender = Question(
        "mail_from",
        "Sender address of emails",
        lambda text, _: setting("mail_from", text, **base),
        default=_sender,
        applies=lambda answers: bool(answers["smtp_url"]),
    )
    return address, (server, sender)


FIRST_STEPS = (
    Question("organization", "Name of your organization", lambda text, _: _field("name", text)),
    Question(
        "business",
        "Name of the business that customers write to",
        lambda text, _: _field("name", text),
        default=lambda answers: answers["organization"],
    ),
    Question(
        "region",
        "Country of phone numbers without a +, such as US (empty: none)",
        lambda text, _: _field("region", text),
        default=lambda _: "",
    ),
    Question("owner", "Your email address, to sign in as the owner", lambda text, _: _address(text)),
)


def _field(name: str, text: str) -> str:
    return business_fields.check(name, text) or ""


def _address(text: str) -> str:
    if not text:
        raise ValueError("must be an email address")
    return employees.RULES["email"](text)


def _sender(answers: Answers) -> str | None:
    host = urlsplit(answers["public_url"]).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return f"shop@{host}" if "." in host else None
    return None


def _user_without_password(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    has_user = parts.username is not None and parts.password is None
    return f"Password of {unquote(cast('str', parts.username))}" if has_user else None


def _with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}").geturl()
