"""``/c/{threadId}``: a conversation as a page, which also works without JavaScript."""

from dataclasses import dataclass
from typing import cast
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Connection

from shopbell.attachments.upload_quota import UploadQuotaExceeded
from shopbell.conversations import customer_view, surveys
from shopbell.conversations.customer_view import Line
from shopbell.conversations.message_text import MESSAGE_MAX_CHARACTERS
from shopbell.customers import customers, magic_links, sessions
from shopbell.customers.opt_outs import OptOuts, Way
from shopbell.customers.sessions import CustomerSession
from shopbell.errors import Conflict, FieldError, Invalid, NotFound, QuotaExceeded, RequestError
from shopbell.formats.identities import normal_email
from shopbell.http.branding import branded_page
from shopbell.http.branding.texts import panel_texts
from shopbell.http.customer.links import expired
from shopbell.http.customer.message_form import read_message
from shopbell.http.customer.message_out import message_out
from shopbell.http.customer.messages import say
from shopbell.http.customer.transcript import transcript
from shopbell.http.request.app_services import Services
from shopbell.http.request.base_url import base_url, root_of
from shopbell.http.request.customer_sessions import NoSession, cookie_of
from shopbell.http.request.errors import ContentTooLarge
from shopbell.http.request.forms import read_form
from shopbell.http.request.origins import check_own_form
from shopbell.http.request.problem_types import problem_type
from shopbell.http.request.visitor import Visitor
from shopbell.i18n import translations
from shopbell.i18n.translations import Texts
from shopbell.organizations import organizations
from shopbell.organizations.organizations import Business
from shopbell.runtime import clock

_SEE_OTHER = 303
_SENT, _ANSWERED = "sent", "answered"
_SAID = {_SENT: "messageSent", _ANSWERED: "thanks"}
_ID_MAX_DIGITS = 16
_SCORE_MAX_DIGITS = 2
_SURVEY_MAX_BYTES = 32_768
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif")
"""The media types that the page shows as pictures, as ``log.js`` does."""
LINES_MAX = 200
"""The most messages on the page. The transcript has all of them."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class _Page:
    state: customer_view.State
    business: Business
    lines: list[Line]
    has_earlier: bool
    emails: list[Way]
    is_opted_out: bool


@router.api_route("/c/{thread_id}", methods=["GET", "HEAD"])
async def show_conversation(request: Request, thread_id: str) -> Response:
    """Show the conversation if the browser has its cookie. Otherwise, ask for a link.

    Raises:
        QuotaExceeded: 429.
        StorageError: 503.
    """
    visitor = await _visitor(request, thread_id)
    if visitor is None:
        return expired(request, root="../")
    said = next((text for word, text in _SAID.items() if word in request.query_params), None)
    return await _conversation(visitor, request, said=said)


@router.post("/c/{thread_id}/messages")
async def send_from_page(request: Request, thread_id: str) -> Response:
    """Take what the page's form sends, and show the conversation with it.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    visitor = await _visitor(request, thread_id, writes=True)
    if visitor is None:
        return expired(request, root="../../")
    try:
        text, attachment, message_id = await read_message(visitor, request)
        if not text.strip() and attachment is None:
            return await _conversation(visitor, request, fault="blank")
        if len(text) > MESSAGE_MAX_CHARACTERS:
            return await _conversation(visitor, request, fault="tooLong")
        attachment_id = None if attachment is None else attachment.id
        await say(visitor, request, text if text.strip() else "", message_id, attachment_id=attachment_id)
    except RequestError as error:
        return await _conversation(visitor, request, fault=_text_name(error), status=problem_type(error).status)
    return RedirectResponse(f"../{thread_id}?{_SENT}", _SEE_OTHER, {"Cache-Control": "no-store"})


@router.post("/c/{thread_id}/notifications")
async def set_notifications(request: Request, thread_id: str) -> Response:
    """Stop emails to the customer, or resume them.

    Raises:
        Invalid: 400.
        OriginRefused: 403.
        StorageError: 503.
    """
    visitor = await _visitor(request, thread_id, writes=True)
    if visitor is None:
        return expired(request, root="../../")
    wish = (await read_form(request)).get("notifications")
    if wish in ("on", "off"):
        opt_outs, now_ms = OptOuts(visitor.services.keys), clock.now_ms()
        await visitor.write(_set_notifications, opt_outs, now_ms, on=wish == "on")
    return RedirectResponse(f"../{thread_id}", _SEE_OTHER, {"Cache-Control": "no-store"})


@router.post("/c/{thread_id}/survey")
async def answer_survey(request: Request, thread_id: str) -> Response:
    """Store the answer to the survey on the page.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    visitor = await _visitor(request, thread_id, writes=True)
    if visitor is None:
        return expired(request, root="../../")
    try:
        fields = await read_form(request, _SURVEY_MAX_BYTES)
        await visitor.write(_answer_survey, fields, clock.now_ms())
    except RequestError as error:
        fault = "answeredBefore" if isinstance(error, Conflict) else "tryLater"
        return await _conversation(visitor, request, fault=fault, status=problem_type(error).status)
    return RedirectResponse(f"../{thread_id}?{_ANSWERED}", _SEE_OTHER, {"Cache-Control": "no-store"})


@router.get("/c/{thread_id}/transcript")
async def download_transcript(request: Request, thread_id: str) -> Response:
    """Download the conversation as text.

    Raises:
        NotFound: 404.
        StorageError: 503.
    """
    visitor = await _visitor(request, thread_id)
    return expired(request, root="../../") if visitor is None else await transcript(visitor)


async def _visitor(request: Request, thread_id: str, *, writes: bool = False) -> Visitor | None:
    """Return the visitor if this browser has opened the conversation and may still see it."""
    services = cast("Services", request.app.state.services)
    if writes:
        check_own_form(request, services)
    number = _number(thread_id, _ID_MAX_DIGITS)
    if number is None:
        raise NotFound
    secret = cookie_of(request.scope, number)
    if secret is None:
        return None
    try:
        session = await services.sessions.session_by(secret)
    except NoSession:
        return None
    if session.kind != "page" or session.thread_id != number:
        return None
    services.limits.requests.take(session.id)
    visitor = Visitor(session, services)
    return visitor if await visitor.read(_may_see) else None


def _may_see(tx: Connection, session: CustomerSession) -> bool:
    return bool(sessions.threads_of(tx, session))


def _answer_survey(tx: Connection, session: CustomerSession, fields: dict[str, str], now_ms: int) -> None:
    score = _number(fields.get("score", ""), _SCORE_MAX_DIGITS)
    comment = fields.get("comment", "").replace("\r\n", "\n").replace("\0", "")
    if score is None or len(comment) > surveys.COMMENT_MAX_CHARACTERS:
        raise Invalid([FieldError("score", "invalid_value", "must be one of the numbers on the page")])
    survey_id = _number(fields.get("surveyId", ""), _ID_MAX_DIGITS)
    if survey_id is None:
        raise NotFound
    mine = sessions.threads_of(tx, session)
    surveys.answer(tx, session.organization_id, survey_id, mine, score, comment, now_ms=now_ms)


def _number(text: str, digits_max: int) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits_max else None


async def _conversation(
    visitor: Visitor, request: Request, *, said: str | None = None, fault: str | None = None, status: int = 400
) -> Response:
    services = visitor.services
    page = await visitor.read(_look, OptOuts(services.keys))
    speaks = _speaks(visitor, page.business)
    now_ms = clock.now_ms()
    can_attach, limit_bytes = services.attachment_store is not None, services.settings.attachment_limit_bytes
    config = branded_page.conversation_config(
        speaks,
        page.business,
        attachments=can_attach,
        attachment_limit_bytes=limit_bytes,
        now_ms=now_ms,
    )
    thread_id = str(page.state.thread_id)
    html = branded_page.render(
        "conversation.html",
        speaks,
        page.business.brand_color,
        root=root_of(request),
        business_name=page.business.name,
        presence=branded_page.presence(speaks, page.business, now_ms),
        thread_id=thread_id,
        said=None if said is None else panel_texts(speaks)[said],
        survey=_question(page.state, speaks),
        fault=None if fault is None else _explain(speaks, fault, limit_bytes),
        has_earlier=page.has_earlier,
        messages=[_shown(line, page, request, services, speaks) for line in page.lines],
        attachments=can_attach,
        client_message_id=str(uuid4()),
        has_email=bool(page.emails) and services.settings.sends_emails,
        notifications_on=not page.is_opted_out,
        config_json=branded_page.config_json({**config, "threadId": thread_id}),
    )
    headers = {**branded_page.headers(page.business.brand_color, posts_forms=True), "Cache-Control": "no-store"}
    return HTMLResponse(html, 200 if fault is None else status, headers)


def _look(tx: Connection, session: CustomerSession, opt_outs: OptOuts) -> _Page:
    organization_id, (thread_id, *_) = session.organization_id, sessions.threads_of(tx, session) or [0]
    state = customer_view.state(tx, organization_id, thread_id)
    business = None if state is None else organizations.find_business(tx, organization_id, state.business_id)
    if state is None or business is None:
        raise NotFound
    emails = _emails(tx, session)
    closed = opt_outs.among(tx, organization_id, emails)
    lines = customer_view.last_lines(tx, organization_id, thread_id, limit=LINES_MAX + 1)
    shown, has_earlier = lines[-LINES_MAX:], len(lines) > LINES_MAX
    return _Page(state, business, shown, has_earlier, emails, bool(emails) and len(closed) == len(emails))


def _emails(tx: Connection, session: CustomerSession) -> list[Way]:
    """Return the email addresses whose notifications this customer may stop.

    An unverified address counts only if a link has reached it.
    """
    customer = customers.find(tx, session.organization_id, session.customer_id)
    emails = [each.value for each in customers.identities_of(tx, customer) if each.kind == "email"]
    if not emails and customer.unverified_email and session.thread_id is not None:
        said = normal_email(customer.unverified_email)
        # Otherwise anyone could resume emails to an address whose owner has stopped them.
        if magic_links.has_reached(tx, session.organization_id, session.thread_id, said):
            emails.append(said)
    # A family may share a customer: a link in an email decides only about the address of that email.
    own = [each for each in emails if each == session.email]
    return [("EMAIL", each) for each in own or emails]


def _set_notifications(tx: Connection, session: CustomerSession, opt_outs: OptOuts, now_ms: int, *, on: bool) -> None:
    for way in _emails(tx, session):
        if on:
            opt_outs.remove(tx, session.organization_id, way)
        else:
            opt_outs.add(tx, session.organization_id, way, now_ms=now_ms)


def _shown(line: Line, page: _Page, request: Request, services: Services, speaks: Texts) -> dict[str, object]:
    message = message_out(line, page.state, base_url(request, services.settings), services.links)
    return {
        "id": message.message_id,
        "sequence": line.sequence,
        "from_customer": line.from_customer,
        "who": speaks.gettext("You") if line.from_customer else line.author or page.business.name,
        "text": line.text,
        "attachment": message.attachment,
        "is_picture": line.attachment is not None and line.attachment.content_type in PICTURES,
        "created_at_ms": line.created_at_ms,
        **branded_page.time_values(speaks, line.created_at_ms, page.business.time_zone),
    }


def _question(state: customer_view.State, speaks: Texts) -> dict[str, object] | None:
    """Return the open survey, for browsers without JavaScript; with it, the stream has the survey."""
    if state.survey_id is None or state.survey_kind is None:
        return None
    said, is_nps = panel_texts(speaks), state.survey_kind == "nps"
    return {
        "id": str(state.survey_id),
        "kind": state.survey_kind,
        "question": said[state.survey_kind],
        "least": said["leastLikely" if is_nps else "leastSatisfied"],
        "most": said["mostLikely" if is_nps else "mostSatisfied"],
        "scores": list(surveys.SCORES[state.survey_kind]),
        "comment": said["comment"],
        "comment_max_characters": surveys.COMMENT_MAX_CHARACTERS,
        "send": said["send"],
    }


def _speaks(visitor: Visitor, business: Business | None = None) -> Texts:
    return translations.for_locale(visitor.session.locale, None if business is None else business.locale)


def _text_name(error: RequestError) -> str:
    """Return the name of the text that explains an error."""
    if isinstance(error, UploadQuotaExceeded):
        return "fileTomorrow"
    if isinstance(error, QuotaExceeded):
        return "slowDown"
    if isinstance(error, ContentTooLarge):
        return "fileTooLarge"
    if isinstance(error, Invalid):
        return "fileEmpty" if any(each.code == "blank" for each in error.errors) else "fileRefused"
    return "tryLater"


def _explain(speaks: Texts, fault: str, limit_bytes: int) -> str:
    if fault == "answeredBefore":
        return speaks.gettext("You have already answered this question.")
    text = panel_texts(speaks)[fault]
    count, size = speaks.number(MESSAGE_MAX_CHARACTERS), speaks.file_size(limit_bytes)
    return text.replace("{count}", count).replace("{size}", size)
