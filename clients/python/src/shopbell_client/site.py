"""The contact form of the web framework integrations.

It parses submissions, describes the API calls, and renders the responses.
"""

import html
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import UUID, uuid4, uuid5

from shopbell_client.call import Call, Id
from shopbell_client.errors import ContentTooLarge, ShopbellError, ValidationFailed
from shopbell_client.form_texts import language_of, texts_for
from shopbell_client.messages import SentMessage, send_message_to_business

MAX_BODY_BYTES = 262_144
ID_FIELD = "clientMessageId"

_FORM_FIELDS = {"#/message": "message", "#/user/email": "email", "#/user/phoneNumber": "phone", "#/user": "email"}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-[A-Za-z]{2}|-[0-9]{3})?")
# Direction marks, zero-width spaces and the like, which come with text copied from web pages and address books.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]+")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a visitor submitted.

    Args:
        fields: any of ``message``, ``email``, ``phone`` and ``clientMessageId``.
        is_json: whether a script sent it as JSON. The response is then JSON, too.
        locale: the visitor's language tag, if known.
    """

    fields: Mapping[str, str] = field(repr=False)
    is_json: bool
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class SiteResponse:
    """The response to a visitor: an HTML page or JSON."""

    status: int
    content_type: str
    body: str

    @property
    def headers(self) -> dict[str, str]:
        """Further headers. The page is not cached, since it contains the visitor's input."""
        return {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Form:
    """A contact form that sends messages to a business.

    Args:
        texts: the texts that visitors read, with all keys of ``form_texts.ENGLISH``.
    """

    business_id: Id
    texts: Mapping[str, str]

    def call(self, submission: Submission) -> Call[SentMessage]:
        """Describe the API call for a submission.

        Submitting the same form with the same content again does not send another message.
        """
        fields = submission.fields
        message = fields.get("message", "")
        email = _cleaned(fields.get("email", ""))
        phone_number = _cleaned(fields.get("phone", ""))
        form_id = _form_id(fields)
        # The content is part of the key: after "back", the browser shows the same form, and its visitor may change it.
        content = json.dumps([str(self.business_id), message, email, phone_number, submission.locale])
        return send_message_to_business(
            self.business_id,
            message,
            email=email,
            phone_number=phone_number,
            locale=submission.locale,
            idempotency_key=None if form_id is None else str(uuid5(form_id, content)),
        )

    def empty(self, csrf_input: str = "") -> SiteResponse:
        """Render the empty form. ``csrf_input`` is the framework's hidden input, as HTML."""
        return self._page(200, csrf_input)

    def sent(self, submission: Submission) -> SiteResponse:
        """Confirm that the message was sent."""
        if submission.is_json:
            return _json(200, {"result": "ok"})
        return _html(200, self.texts, f'<p role="status">{html.escape(self.texts["sent"])}</p>')

    def failed(self, submission: Submission, error: ShopbellError, csrf_input: str = "") -> SiteResponse:
        """Report a failure: invalid fields to the visitor, anything else to the log."""
        codes = _invalid_fields(error)
        if codes:
            errors = {name: self.texts.get(code, self.texts["invalid"]) for name, code in codes.items()}
            if submission.is_json:
                return _json(400, {"errors": errors})
            return self._page(400, csrf_input, values=submission.fields, errors=errors)
        _log.error("A visitor's message to business %s was not sent: %s", self.business_id, error)
        if submission.is_json:
            return _json(503, {"errors": {"form": self.texts["failed"]}})
        return self._page(503, csrf_input, values=submission.fields, alert=self.texts["failed"])

    def refused(self, status: int = 403, text: str = "refused") -> SiteResponse:
        """Refuse a request without reading it."""
        return _json(status, {"errors": {"form": self.texts[text]}})

    def _page(
        self,
        status: int,
        csrf_input: str,
        *,
        values: Mapping[str, str] | None = None,
        errors: Mapping[str, str] | None = None,
        alert: str = "",
    ) -> SiteResponse:
        values, errors = values or {}, errors or {}

        def attributes(name: str) -> str:
            invalid = f' aria-invalid="true" aria-describedby="{name}-error"' if name in errors else ""
            return f'name="{name}"{invalid}'

        def value(name: str) -> str:
            return html.escape(values.get(name, ""))

        def labelled(name: str, control: str) -> str:
            error = f' <strong id="{name}-error">{html.escape(errors[name])}</strong>' if name in errors else ""
            return f"<p><label>{html.escape(self.texts[name])}<br>{control}</label>{error}</p>"

        # HTML drops a line break right after <textarea>; this one is there to be dropped instead of the visitor's.
        message = f'<textarea {attributes("message")} rows="6" required>\n{value("message")}</textarea>'
        email = f'<input {attributes("email")} type="email" autocomplete="email" value="{value("email")}">'
        phone = f'<input {attributes("phone")} type="tel" autocomplete="tel" value="{value("phone")}">'
        lines = [
            *([f'<p role="alert">{html.escape(alert)}</p>'] if alert else []),
            f'<form method="post">{csrf_input}',
            f'<input type="hidden" name="{ID_FIELD}" value="{(_form_id(values) or uuid4()).hex}">',
            labelled("message", message),
            labelled("email", email),
            labelled("phone", phone),
            f"<button>{html.escape(self.texts['send'])}</button></form>",
        ]
        return _html(status, self.texts, "\n".join(lines))


def form_for(business_id: Id, texts: Mapping[str, str] | None, accept_language: str | None) -> Form:
    """Return the form with the website's own texts, or else with those of the visitor's language."""
    return Form(business_id, texts_for(preferred_locale(accept_language)) if texts is None else texts)


def _form_id(fields: Mapping[str, str]) -> UUID | None:
    """Return the form's id; None if it is missing or invalid."""
    try:
        return UUID(fields.get(ID_FIELD, ""))
    except ValueError:
        return None


def parse_json(body: bytes, accept_language: str | None) -> Submission | None:
    """Parse a JSON submission; None if it is not an object whose values are strings."""
    try:
        fields = json.loads(body)
        json.dumps(fields, ensure_ascii=False).encode()  # refuses lone surrogates
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or not all(isinstance(value, str | None) for value in fields.values()):
        return None
    present = {name: value for name, value in fields.items() if value is not None}
    return Submission(present, True, preferred_locale(accept_language))


def preferred_locale(accept_language: str | None) -> str | None:
    """Return the first language of ``Accept-Language``; None if there is none."""
    first = (accept_language or "").partition(",")[0].partition(";")[0].strip()
    return first if _LANGUAGE.fullmatch(first) else None


def is_cross_site(headers: Mapping[str, str]) -> bool:
    """Tell whether a page of another site made a browser send this request."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("Host")


def is_json(content_type: str | None) -> bool:
    """Tell whether a media type is JSON."""
    return _media_type(content_type) == "application/json"


def is_form(content_type: str | None) -> bool:
    """Tell whether a media type is a URL-encoded form."""
    return _media_type(content_type) == "application/x-www-form-urlencoded"


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _invalid_fields(error: ShopbellError) -> dict[str, str]:
    """Return the form's invalid fields and their error codes.

    The result is empty if the visitor cannot correct the error.
    """
    if isinstance(error, ContentTooLarge):
        return {"message": "too_long"}
    if not isinstance(error, ValidationFailed) or any(each.name not in _FORM_FIELDS for each in error.errors):
        return {}
    return {_FORM_FIELDS[each.name]: each.code for each in error.errors}


def _cleaned(text: str) -> str | None:
    """Remove invisible characters and surrounding spaces; None if nothing remains."""
    return _INVISIBLE.sub("", text).strip() or None


def _json(status: int, value: object) -> SiteResponse:
    return SiteResponse(status, "application/json", json.dumps(value, ensure_ascii=False))


def _html(status: int, texts: Mapping[str, str], content: str) -> SiteResponse:
    title = html.escape(texts["title"])
    language = language_of(texts)
    attributes = f' lang="{language}"' if language else ""
    attributes += ' dir="rtl"' if language == "ar" else ""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    main = f"<main><h1>{title}</h1>\n{content}\n</main>"
    page = f"<!doctype html>\n<html{attributes}><head>{head}</head>\n<body>{main}</body></html>\n"
    return SiteResponse(status, "text/html; charset=utf-8", page)
