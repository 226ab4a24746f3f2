"""``/c/{threadId}``: a conversation as a page, for whoever came by a link. All of it works without scripts."""

import time
from dataclasses import dataclass
from typing import cast
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Connection

from shopbell import conversation, customer_links, customer_sessions, customers, organizations, surveys, texts
from shopbell.conversation import Line
from shopbell.customer_sessions import CustomerSession
from shopbell.errors import Conflict, ContentTooLarge, Fault, Invalid, NotFound, Problem, QuotaExceeded
from shopbell.http.addresses import base_url
from shopbell.http.api.access import Api
from shopbell.http.customer import looks
from shopbell.http.customer.access import NoSession, Visitor, cookie_of
from shopbell.http.customer.forms import check_own_form, read_fields, read_message
from shopbell.http.customer.links import expired
from shopbell.http.customer.messages import say
from shopbell.http.customer.shown import shown_line
from shopbell.http.customer.transcript import transcript
from shopbell.http.customer.widget_texts import panel_texts
from shopbell.http.widget_fields import MESSAGE_MAX_CHARACTERS
from shopbell.identity import normal_email
from shopbell.opt_outs import OptOuts, Way
from shopbell.organizations import Business
from shopbell.texts import Texts
from shopbell.upload_quota import UploadQuotaExceeded

_SEE_OTHER = 303
_SENT, _ANSWERED = "sent", "answered"
_SAID = {_SENT: "messageSent", _ANSWERED: "thanks"}
_ID_MAX_DIGITS = 16
_SCORE_MAX_DIGITS = 2
_SURVEY_MAX_BYTES = 32_768
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif")
"""The types of files that the page shows itself, as ``log.js`` does."""
LINES_MAX = 200
"""How many messages the page shows; a conversation may have any number, and the transcript has them all."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class _Page:
    state: conversation.State
    business: Business
    lines: list[Line]
    has_earlier: bool
    emails: list[Way]
    is_opted_out: bool


@router.api_route("/c/{thread_id}", methods=["GET", "HEAD"])
async def show_conversation(request: Request, thread_id: str) -> Response:
    """Show the conversation to whoever has opened it before, by its cookie; to others, that a link is needed.

    Raises:
        TooFast: 429.
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
    except Problem as problem:
        return await _conversation(visitor, request, fault=_name_of(problem), status=problem.status)
    return RedirectResponse(f"../{thread_id}?{_SENT}", _SEE_OTHER, {"Cache-Control": "no-store"})


@router.post("/c/{thread_id}/notifications")
async def set_notifications(request: Request, thread_id: str) -> Response:
    """End the mails to the customer, or begin them again.

    Raises:
        Invalid: 400.
        OriginRefused: 403.
        StorageError: 503.
    """
    visitor = await _visitor(request, thread_id, writes=True)
    if visitor is None:
        return expired(request, root="../../")
    wish = (await read_fields(request)).get("notifications")
    if wish in ("on", "off"):
        opt_outs, now_ms = OptOuts(visitor.api.keys), time.time_ns() // 1_000_000
        await visitor.write(_set_notifications, opt_outs, now_ms, on=wish == "on")
    return RedirectResponse(f"../{thread_id}", _SEE_OTHER, {"Cache-Control": "no-store"})


@router.post("/c/{thread_id}/survey")
async def answer_survey(request: Request, thread_id: str) -> Response:
    """Take what the customer answers to the question on the page, once.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    visitor = await _visitor(request, thread_id, writes=True)
    if visitor is None:
        return expired(request, root="../../")
    try:
        fields = await read_fields(request, _SURVEY_MAX_BYTES)
        await visitor.write(_answer_survey, fields, time.time_ns() // 1_000_000)
    except Problem as problem:
        fault = "answeredBefore" if isinstance(problem, Conflict) else "tryLater"
        return await _conversation(visitor, request, fault=fault, status=problem.status)
    return RedirectResponse(f"../{thread_id}?{_ANSWERED}", _SEE_OTHER, {"Cache-Control": "no-store"})


@router.get("/c/{thread_id}/transcript")
async def download_transcript(request: Request, thread_id: str) -> Response:
    """Give the conversation as a text.

    Raises:
        NotFound: 404.
        StorageError: 503.
    """
    visitor = await _visitor(request, thread_id)
    return expired(request, root="../../") if visitor is None else await transcript(visitor)


async def _visitor(request: Request, thread_id: str, *, writes: bool = False) -> Visitor | None:
    """Who opened this conversation here before; None when nobody did, or it is not his any more."""
    api = cast("Api", request.app.state.api)
    if writes:
        check_own_form(request, api)
    number = _number(thread_id, _ID_MAX_DIGITS)
    if number is None:
        raise NotFound
    secret = cookie_of(request.scope, number)
    if secret is None:
        return None
    try:
        session = await api.sessions.session_by(secret)
    except NoSession:
        return None
    if session.kind != "page" or session.thread_id != number:
        return None
    api.limits.requests.take(session.id)
    visitor = Visitor(session, api)
    return visitor if await visitor.read(_is_his) else None


def _is_his(tx: Connection, session: CustomerSession) -> bool:
    return bool(customer_sessions.threads_of(tx, session))


def _answer_survey(tx: Connection, session: CustomerSession, fields: dict[str, str], now_ms: int) -> None:
    score = _number(fields.get("score", ""), _SCORE_MAX_DIGITS)
    comment = fields.get("comment", "").replace("\r\n", "\n").replace("\0", "")
    if score is None or len(comment) > surveys.COMMENT_MAX_CHARACTERS:
        raise Invalid([Fault("body", "#/score", "invalid_value", "must be one of the numbers on the page")])
    survey_id = _number(fields.get("surveyId", ""), _ID_MAX_DIGITS)
    if survey_id is None:
        raise NotFound
    mine = customer_sessions.threads_of(tx, session)
    surveys.answer(tx, session.organization_id, survey_id, mine, score, comment, now_ms=now_ms)


def _number(text: str, digits_max: int) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits_max else None


async def _conversation(
    visitor: Visitor, request: Request, *, said: str | None = None, fault: str | None = None, status: int = 400
) -> Response:
    api = visitor.api
    page = await visitor.read(_look, OptOuts(api.keys))
    speaks = _speaks(visitor, page.business)
    now_ms = time.time_ns() // 1_000_000
    can_attach, limit_bytes = api.blobs is not None, api.settings.attachment_limit_bytes
    config = looks.conversation_config(
        speaks,
        page.business,
        attachments=can_attach,
        attachment_limit_bytes=limit_bytes,
        now_ms=now_ms,
    )
    thread_id = str(page.state.thread_id)
    html = looks.page(
        "conversation.html",
        speaks,
        page.business.brand_color,
        root="../" * (request.scope["path"].count("/") - 1),
        business_name=page.business.name,
        presence=looks.presence(speaks, page.business, now_ms),
        thread_id=thread_id,
        said=None if said is None else panel_texts(speaks)[said],
        survey=_question(page.state, speaks),
        fault=None if fault is None else _told(speaks, fault, limit_bytes),
        has_earlier=page.has_earlier,
        messages=[_shown(line, page, request, api, speaks) for line in page.lines],
        attachments=can_attach,
        client_message_id=str(uuid4()),
        has_email=bool(page.emails) and api.settings.sends_mails,
        notifications_on=not page.is_opted_out,
        config_json=looks.config_json({**config, "threadId": thread_id}),
    )
    headers = {**looks.headers(page.business.brand_color, posts_forms=True), "Cache-Control": "no-store"}
    return HTMLResponse(html, 200 if fault is None else status, headers)


def _look(tx: Connection, session: CustomerSession, opt_outs: OptOuts) -> _Page:
    organization_id, (thread_id, *_) = session.organization_id, customer_sessions.threads_of(tx, session) or [0]
    state = conversation.state(tx, organization_id, thread_id)
    business = None if state is None else organizations.find_business(tx, organization_id, state.business_id)
    if state is None or business is None:
        raise NotFound
    emails = _emails(tx, session)
    closed = opt_outs.among(tx, organization_id, emails)
    lines = conversation.last_lines(tx, organization_id, thread_id, limit=LINES_MAX + 1)
    shown, has_earlier = lines[-LINES_MAX:], len(lines) > LINES_MAX
    return _Page(state, business, shown, has_earlier, emails, bool(emails) and len(closed) == len(emails))


def _emails(tx: Connection, session: CustomerSession) -> list[Way]:
    """Where mails to the customer go, as far as they are his to end: of what he only said, where a link has come."""
    customer = customers.find(tx, session.organization_id, session.customer_id)
    emails = [each.value for each in customers.identities_of(tx, customer) if each.kind == "email"]
    if not emails and customer.unverified_email and session.thread_id is not None:
        said = normal_email(customer.unverified_email)
        # Else whoever names an address could let mails go there again that its owner has ended.
        if customer_links.has_reached(tx, session.organization_id, session.thread_id, said):
            emails.append(said)
    # A family shares a customer: who came by the link in a mail decides about that mail's address.
    own = [each for each in emails if each == session.email]
    return [("EMAIL", each) for each in own or emails]


def _set_notifications(tx: Connection, session: CustomerSession, opt_outs: OptOuts, now_ms: int, *, on: bool) -> None:
    for way in _emails(tx, session):
        if on:
            opt_outs.remove(tx, session.organization_id, way)
        else:
            opt_outs.add(tx, session.organization_id, way, now_ms=now_ms)


def _shown(line: Line, page: _Page, request: Request, api: Api, speaks: Texts) -> dict[str, object]:
    message = shown_line(line, page.state, base_url(request, api.settings), api.links)
    return {
        "id": message.message_id,
        "sequence": line.sequence,
        "from_customer": line.from_customer,
        "who": speaks.gettext("You") if line.from_customer else line.author or page.business.name,
        "text": line.text,
        "attachment": message.attachment,
        "is_picture": line.attachment is not None and line.attachment.content_type in PICTURES,
        "created_at_ms": line.created_at_ms,
        **looks.time_values(speaks, line.created_at_ms, page.business.time_zone),
    }


def _question(state: conversation.State, speaks: Texts) -> dict[str, object] | None:
    """What the customer is asked and has not answered yet: where scripts run, the stream brings it."""
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
    return texts.for_locale(visitor.session.locale, None if business is None else business.locale)


def _name_of(problem: Problem) -> str:
    """Which of the page's texts says what was wrong."""
    if isinstance(problem, UploadQuotaExceeded):
        return "fileTomorrow"
    if isinstance(problem, QuotaExceeded):
        return "slowDown"
    if isinstance(problem, ContentTooLarge):
        return "fileTooLarge"
    if isinstance(problem, Invalid):
        return "fileEmpty" if any(fault.code == "blank" for fault in problem.faults) else "fileRefused"
    return "tryLater"


def _told(speaks: Texts, fault: str, limit_bytes: int) -> str:
    if fault == "answeredBefore":
        return speaks.gettext("You have answered this question already.")
    text = panel_texts(speaks)[fault]
    size = f"{speaks.number(round(limit_bytes / 1_048_576, 1))} MB"
    return text.replace("{count}", speaks.number(MESSAGE_MAX_CHARACTERS)).replace("{size}", size)
