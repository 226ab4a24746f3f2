"""What the pieces for web frameworks have in common: a visitor's form, sent to a business; and what to say then."""

import html
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import UUID, uuid4, uuid5

from shopbell.client.call import Call, Id
from shopbell.client.errors import ContentTooLarge, ShopbellError, ValidationFailed
from shopbell.client.messages import SentMessage, send_message_to_business

MAX_BODY_BYTES = 262_144
ID_FIELD = "clientMessageId"
ENGLISH: Mapping[str, str] = {
    "title": "Send us a message",
    "message": "Your message",
    "email": "Your e-mail address",
    "phone": "or your phone number",
    "send": "Send",
    "sent": "Thank you. Your message has arrived.",
    "failed": "Your message could not be sent just now. Please try again in a few minutes.",
    "refused": "This form must be sent from its own page.",
    "unreadable": "What was sent cannot be read.",
    "blank": "Please write something.",
    "too_long": "This is too long.",
    "invalid_email": "This is not an e-mail address.",
    "invalid_phone_number": "This is not a phone number.",
    "contact_required": "Please leave an e-mail address or a phone number, so that we can answer.",
    "invalid": "Please look at this again.",
}
"""What a visitor reads; give a mapping of your own with the same names for another language."""

_FIELD_OF = {"#/message": "message", "#/user/email": "email", "#/user/phoneNumber": "phone", "#/user": "email"}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-[A-Za-z]{2}|-[0-9]{3})?")
# Marks of direction, spaces without width and the like: web pages and address books add them.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]+")
_log = logging.getLogger("shopbell.client")


@dataclass(frozen=True, slots=True)
class Visit:
    """What a visitor sent.

    Args:
        fields: ``message``, ``email``, ``phone`` and ``clientMessageId``, as far as they are there.
        wants_json: whether a script sent it and reads the answer.
        locale: the visitor's language, if known.
    """

    fields: Mapping[str, str] = field(repr=False)
    wants_json: bool
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The answer to a visitor.

    Args:
        status: of HTTP.
        content_type: of the body.
        body: a page, or JSON for a script.
    """

    status: int
    content_type: str
    body: str

    @property
    def headers(self) -> dict[str, str]:
        """Beside the content type: the page holds what was typed."""
        return {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Form:
    """A page with a form whose messages go to one business.

    Args:
        business_id: the business.
        texts: what visitors read; all names of ``ENGLISH``.
    """

    business_id: Id
    texts: Mapping[str, str]

    def call(self, visit: Visit) -> Call[SentMessage]:
        """What carries the visitor's message to the business: once, however often the same form is sent."""
        message = visit.fields.get("message", "")
        email = _typed(visit.fields.get("email", ""))
        phone_number = _typed(visit.fields.get("phone", ""))
        form_id = _form_id(visit.fields)
        content = json.dumps([str(self.business_id), message, email, phone_number, visit.locale])
        return send_message_to_business(
            self.business_id,
            message,
            email=email,
            phone_number=phone_number,
            locale=visit.locale,
            # Another one when something else was written into it: who goes back in his browser finds the same form.
            idempotency_key=None if form_id is None else str(uuid5(form_id, content)),
        )

    def empty(self, csrf: str = "") -> Said:
        """The page as it is found. ``csrf`` is a hidden input of the framework, in HTML."""
        return self._page(200, {}, {}, None, csrf)

    def sent(self, visit: Visit) -> Said:
        """The message has arrived."""
        if visit.wants_json:
            return _json(200, {"result": "ok"})
        return _html(200, self.texts["title"], f'<p role="status">{html.escape(self.texts["sent"])}</p>')

    def not_sent(self, visit: Visit, error: ShopbellError, csrf: str = "") -> Said:
        """It has not: the visitor is told what to mend, or the site's owner, in the log, what is wrong."""
        faults = _faults(error)
        if faults:
            texts = {name: self.texts.get(code, self.texts["invalid"]) for name, code in faults.items()}
            if visit.wants_json:
                return _json(400, {"errors": texts})
            return self._page(400, visit.fields, texts, None, csrf)
        _log.error("A visitor's message was not sent to business %s: %s", self.business_id, error)
        if visit.wants_json:
            return _json(503, {"errors": {"form": self.texts["failed"]}})
        return self._page(503, visit.fields, {}, self.texts["failed"], csrf)

    def refused(self, status: int = 403, text: str = "refused") -> Said:
        """It was not even read."""
        return _json(status, {"errors": {"form": self.texts[text]}})

    def _page(
        self, status: int, values: Mapping[str, str], faults: Mapping[str, str], alert: str | None, csrf: str
    ) -> Said:
        def label(name: str, control: str) -> str:
            fault = faults.get(name)
            wrong = f' <strong id="{name}-fault">{html.escape(fault)}</strong>' if fault else ""
            marks = f' aria-invalid="true" aria-describedby="{name}-fault"' if fault else ""
            return f"<p><label>{html.escape(self.texts[name])}<br>{control.replace('<>', marks)}</label>{wrong}</p>"

        def typed(name: str) -> str:
            return html.escape(values.get(name, ""))

        parts = [
            f'<p role="alert">{html.escape(alert)}</p>' if alert else "",
            f'<form method="post">{csrf}',
            f'<input type="hidden" name="{ID_FIELD}" value="{(_form_id(values) or uuid4()).hex}">',
            # A line break right after the tag is HTML's own, so that one of the text stays.
            label("message", f'<textarea name="message" rows="6" required<>>\n{typed("message")}</textarea>'),
            label("email", f'<input name="email" type="email" autocomplete="email" value="{typed("email")}"<>>'),
            label("phone", f'<input name="phone" type="tel" autocomplete="tel" value="{typed("phone")}"<>>'),
            f"<button>{html.escape(self.texts['send'])}</button></form>",
        ]
        return _html(status, self.texts["title"], "\n".join(part for part in parts if part))


def _form_id(fields: Mapping[str, str]) -> UUID | None:
    """The id of a form; None where a page of the site's own has none."""
    try:
        return UUID(fields.get(ID_FIELD, ""))
    except ValueError:
        return None


def visit_of_json(body: bytes, accept_language: str | None) -> Visit | None:
    """What a script sent, or None when it is not a JSON object with texts."""
    try:
        said = json.loads(body)
        json.dumps(said, ensure_ascii=False).encode()  # fails for half of a pair of surrogates, which is no text
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not all(isinstance(value, str | None) for value in said.values()):
        return None
    return Visit({name: value for name, value in said.items() if value is not None}, True, locale_of(accept_language))


def locale_of(accept_language: str | None) -> str | None:
    """The language that a browser names first, if it is one."""
    first = (accept_language or "").partition(",")[0].partition(";")[0].strip()
    return first if _LANGUAGE.fullmatch(first) else None


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether another site's page made the browser send this. Programs other than browsers are nobody's victims."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("Host")


def is_json(content_type: str | None) -> bool:
    """Whether a body is JSON by its media type."""
    return _media_type(content_type) == "application/json"


def is_form(content_type: str | None) -> bool:
    """Whether a body is a plain form by its media type."""
    return _media_type(content_type) == "application/x-www-form-urlencoded"


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _faults(error: ShopbellError) -> dict[str, str]:
    """The visitor's own faults: field and code. None when the site itself sends something wrong."""
    if isinstance(error, ContentTooLarge):
        return {"message": "too_long"}
    if not isinstance(error, ValidationFailed):
        return {}
    faults = {_FIELD_OF.get(fault.name, ""): fault.code for fault in error.errors}
    return {} if "" in faults else faults


def _typed(text: str) -> str | None:
    """What a visitor typed or pasted, without invisible characters; None for nothing."""
    return _INVISIBLE.sub("", text).strip() or None


def _json(status: int, value: object) -> Said:
    return Said(status, "application/json", json.dumps(value, ensure_ascii=False))


def _html(status: int, title: str, inner: str) -> Said:
    title = html.escape(title)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    page = f"<!doctype html>\n<html><head>{head}</head>\n<body><main><h1>{title}</h1>\n{inner}\n</main></body></html>\n"
    return Said(status, "text/html; charset=utf-8", page)
