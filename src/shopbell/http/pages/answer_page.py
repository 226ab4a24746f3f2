"""``/answer/{token}``: a page for the business to read a conversation and to reply, linked from emails."""

import time
from dataclasses import dataclass
from typing import cast
from uuid import UUID, uuid4, uuid5

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Connection

from shopbell.conversations import customer_view, threads
from shopbell.conversations.customer_view import Line
from shopbell.conversations.message_text import MESSAGE_MAX_CHARACTERS
from shopbell.conversations.replies import CustomerErased, Reply, StaleReply, WindowClosed, was_stored
from shopbell.customers import customers
from shopbell.email.answer_links import PATH, AnswerLinks, AnswerTarget, digest
from shopbell.errors import NotFound, RequestError
from shopbell.events.actors import Actor
from shopbell.http.branding import branded_page
from shopbell.http.request.app_services import Services
from shopbell.http.request.base_url import base_url
from shopbell.http.request.forms import read_form
from shopbell.http.request.origins import check_own_form
from shopbell.http.request.problem_types import problem_type
from shopbell.http.request.visitor_limits import address_of
from shopbell.i18n.translations import Texts, for_locale, msgid
from shopbell.organizations import organizations
from shopbell.organizations.organizations import Business
from shopbell.runtime import clock

LINES_MAX = 100
_FORM_MAX_BYTES = 65_536
_SENT = "sent"
"""The query of the page after a reply."""

_REFUSED: dict[type[RequestError], str] = {
    StaleReply: msgid("Someone replied first. Review their message and send yours again."),
    WindowClosed: msgid(
        "WhatsApp does not allow replies more than 24 hours after the customer's last message. Your reply was not sent."
    ),
    CustomerErased: msgid("This customer's data has been erased. Your reply was not sent."),
}
_FAILED = msgid("Something went wrong. Please try again.")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class _Shown:
    business: Business
    customer_name: str
    last_reply_sequence: int
    lines: list[Line]


@router.api_route(f"{PATH}{{token}}", methods=["GET", "HEAD"])
async def show(request: Request, token: str) -> Response:
    """Show the conversation and a form. Nothing changes, because mail scanners open links.

    Raises:
        NotFound: 404; the link is not valid or has expired, its conversation is gone or belongs to another business, or
            the business no longer uses that address.
        QuotaExceeded: 429.
        StorageError: 503.
    """
    services, answering = _check_link(request, token)
    return _page(request, services, await services.database.read(_look, answering))


@router.post(f"{PATH}{{token}}")
async def answer(request: Request, token: str) -> Response:
    """Send a reply, as an email to the reply address does.

    A form that is sent twice is one message. With another text it is another message: the author went back in the
    browser. The reply is refused if someone else has replied since the form was loaded; the page then shows that reply.

    Raises:
        RequestError: 400, 403, 404, 408, 413, 429. Other errors are shown on the page.
        StorageError: 503.
    """
    services, answering = _check_link(request, token)
    check_own_form(request, services)
    fields = await read_form(request, _FORM_MAX_BYTES)
    shown = await services.database.read(_look, answering)
    text = fields.get("text", "").replace("\r\n", "\n").replace("\0", "")
    texts = for_locale(shown.business.locale)
    if not text.strip():
        return _page(request, services, shown, fault=texts.gettext("Please enter a message."))
    if len(text) > MESSAGE_MAX_CHARACTERS:
        fault = texts.gettext(
            "Your message is too long. The limit is {count} characters.", count=MESSAGE_MAX_CHARACTERS
        )
        return _page(request, services, shown, fault=fault, text=text)
    form, seen = fields.get("form", ""), _sequence(fields.get("seen", ""))
    name = _message_id(form, text)
    reply = Reply(
        organization_id=answering.organization_id,
        actor=Actor("employee"),
        business_id=shown.business.id,  # the employee is not known
        thread_id=answering.thread_id,
        body=text,
        last_reply_sequence=seen,
        external_id=name,
    )
    since = [_message_id(form, line.text) for line in shown.lines if not line.from_customer and line.sequence > seen]
    has_all = shown.lines[0].sequence <= seen + 1
    if since and has_all and name not in since and await services.database.read(_are_stored, answering, since):
        # Only this form has replied since it was loaded.
        reply = reply._replace(last_reply_sequence=shown.last_reply_sequence)
    try:
        await services.replies.submit_and_wait(reply)
    except RequestError as error:
        if not await services.database.read(was_stored, answering.organization_id, answering.thread_id, name):
            again = await services.database.read(_look, answering)
            fault = texts.gettext(_REFUSED.get(type(error), _FAILED))
            return _page(request, services, again, fault=fault, text=text, status=problem_type(error).status)
    # After a redirect, a reload of the page sends nothing again.
    own = request.scope["path"].rpartition("/")[2]
    return RedirectResponse(f"{own}?{_SENT}", 303, headers={"Cache-Control": "no-store"})


def _are_stored(tx: Connection, answering: AnswerTarget, names: list[str]) -> bool:
    return all(was_stored(tx, answering.organization_id, answering.thread_id, name) for name in names)


def _sequence(sent: str) -> int:
    return int(sent) if sent.isascii() and sent.isdecimal() and len(sent) <= 16 else 0


def _message_id(form_id: str, text: str) -> str:
    """Return the id of the message of a form, so that a repeated form is stored once."""
    try:
        form = UUID(form_id)
    except ValueError:
        form = uuid4()
    return str(uuid5(form, text))


def _check_link(request: Request, token: str) -> tuple[Services, AnswerTarget]:
    """Check the signed link before any query, so that guesses never reach the database."""
    services = cast("Services", request.app.state.services)
    services.limits.links_of_address.take(address_of(request))
    answering = AnswerLinks(services.keys).parse(token, now_s=int(time.time()))
    if answering is None:
        raise NotFound
    return services, answering


def _look(tx: Connection, answering: AnswerTarget) -> _Shown:
    organization_id, thread_id = answering.organization_id, answering.thread_id
    thread = threads.find(tx, organization_id, thread_id)
    business = organizations.find_business(tx, organization_id, thread.thread.business_id)
    if business is None or not business.active or not business.tells_store or business.id != answering.business_id:
        raise NotFound
    if business.email is None or digest(business.email) != answering.address_digest:
        raise NotFound
    after = max(0, thread.thread.last_sequence - LINES_MAX)
    lines = customer_view.lines(tx, organization_id, thread_id, after_sequence=after)
    customer_name = customers.profile(tx, organization_id, thread.customer_id).called(for_locale(business.locale))
    return _Shown(business, customer_name, thread.thread.last_reply_sequence, lines)


def _page(
    request: Request, services: Services, shown: _Shown, *, fault: str | None = None, text: str = "", status: int = 400
) -> Response:
    texts = for_locale(shown.business.locale)
    color = shown.business.brand_color
    html = branded_page.render(
        "answer.html",
        texts,
        color,
        customer=shown.customer_name,
        business_name=shown.business.name,
        messages=[_line(line, shown, texts, request, services) for line in shown.lines],
        seen=shown.last_reply_sequence,
        form=uuid4(),
        fault=fault,
        is_sent=_SENT in request.query_params,
        text=text,
        max_characters=MESSAGE_MAX_CHARACTERS,
    )
    headers = {**branded_page.headers(color, posts_forms=True), "Cache-Control": "no-store"}
    return HTMLResponse(html, 200 if fault is None else status, headers)


def _line(line: Line, shown: _Shown, texts: Texts, request: Request, services: Services) -> dict[str, object]:
    file = line.attachment
    now_ms = clock.now_ms()
    link = file and services.links.link(base_url(request, services.settings), file.uuid, file.name, now_ms=now_ms)
    return {
        "author": shown.customer_name if line.from_customer else line.author or shown.business.name,
        "is_customers": line.from_customer,
        "at": texts.date_time(line.created_at_ms, shown.business.time_zone),
        "text": line.text,
        "file_name": file.name if file else None,
        "file_url": link.url if link else None,
    }
