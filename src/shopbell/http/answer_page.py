"""``/answer/{token}``: the link in a mail to the store, to read a conversation and to answer it without an inbox."""

import time
from dataclasses import dataclass
from typing import cast
from uuid import UUID, uuid4, uuid5

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Connection

from shopbell import conversation, customers, organizations, threads
from shopbell.conversation import Line
from shopbell.errors import NotFound, Problem
from shopbell.http.addresses import base_url
from shopbell.http.api.access import Api
from shopbell.http.customer import looks
from shopbell.http.customer.forms import check_own_form, read_fields
from shopbell.http.customer.limits import address_of
from shopbell.http.widget_fields import MESSAGE_MAX_CHARACTERS
from shopbell.mail.answer_links import PATH, Answering, AnswerLinks, digest
from shopbell.organizations import Business
from shopbell.replies import Reply, was_stored
from shopbell.texts import Texts, for_locale

LINES_MAX = 100
_FORM_MAX_BYTES = 65_536
_SENT = "sent"
"""The query of the page that follows an answer."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class _Shown:
    business: Business
    customer_name: str
    last_reply_sequence: int
    lines: list[Line]


@router.api_route(f"{PATH}{{token}}", methods=["GET", "HEAD"])
async def show(request: Request, token: str) -> Response:
    """Show what was said, and a form. Nothing is changed here: scanners follow links.

    Raises:
        NotFound: 404; the link is not one of ours or is over, its conversation is gone or another business's, or the
            business is not mailed at that address any more.
        TooFast: 429.
        StorageError: 503.
    """
    api, answering = _known(request, token)
    return _page(request, api, await api.database.read(_look, answering))


@router.post(f"{PATH}{{token}}")
async def answer(request: Request, token: str) -> Response:
    """Answer the customer, as a mail to the reply address does. Who comes too late is shown what a colleague wrote.

    A form that is sent twice is one message. With another text it is another message: its author went back in the
    browser. It is refused only if someone else has answered after the form was loaded.

    Raises:
        Problem: 400, 403, 404, 408, 413, 429; else the page says what is wrong.
        StorageError: 503.
    """
    api, answering = _known(request, token)
    check_own_form(request, api)
    fields = await read_fields(request, _FORM_MAX_BYTES)
    shown = await api.database.read(_look, answering)
    text = fields.get("text", "").replace("\r\n", "\n").replace("\0", "")
    texts = for_locale(shown.business.locale)
    if not text.strip():
        return _page(request, api, shown, fault=texts.gettext("Please write something."))
    if len(text) > MESSAGE_MAX_CHARACTERS:
        fault = texts.gettext(
            "Your message is too long. At most {count} characters can be sent.", count=MESSAGE_MAX_CHARACTERS
        )
        return _page(request, api, shown, fault=fault, text=text)
    form, seen = fields.get("form", ""), _sequence(fields.get("seen", ""))
    name = _name_of(form, text)
    reply = Reply(
        organization_id=answering.organization_id,
        token_id=shown.business.id,  # nobody knows which employee it is: the business itself answers
        thread_id=answering.thread_id,
        body=text,
        last_reply_sequence=seen,
        external_id=name,
    )
    since = [_name_of(form, line.text) for line in shown.lines if not line.from_customer and line.sequence > seen]
    has_all = shown.lines[0].sequence <= seen + 1
    if since and has_all and name not in since and await api.database.read(_are_stored, answering, since):
        # Only this form has answered since it was loaded.
        reply = reply._replace(last_reply_sequence=shown.last_reply_sequence)
    try:
        await api.replies.submit(reply)
    except Problem as refused:
        if not await api.database.read(was_stored, answering.organization_id, answering.thread_id, name):
            again = await api.database.read(_look, answering)
            return _page(request, api, again, fault=refused.detail, text=text, status=refused.status)
    # Loaded again, the page sends nothing twice.
    own = request.scope["path"].rpartition("/")[2]
    return RedirectResponse(f"{own}?{_SENT}", 303, headers={"Cache-Control": "no-store"})


def _are_stored(tx: Connection, answering: Answering, names: list[str]) -> bool:
    return all(was_stored(tx, answering.organization_id, answering.thread_id, name) for name in names)


def _sequence(sent: str) -> int:
    return int(sent) if sent.isascii() and sent.isdecimal() and len(sent) <= 16 else 0


def _name_of(form_id: str, text: str) -> str:
    """What the message is known by that a form has sent."""
    try:
        form = UUID(form_id)
    except ValueError:
        form = uuid4()
    return str(uuid5(form, text))


def _known(request: Request, token: str) -> tuple[Api, Answering]:
    """Nobody gets as far as the database by guessing."""
    api = cast("Api", request.app.state.api)
    api.limits.links_of_address.take(address_of(request))
    answering = AnswerLinks(api.keys).parse(token, now_s=int(time.time()))
    if answering is None:
        raise NotFound
    return api, answering


def _look(tx: Connection, answering: Answering) -> _Shown:
    organization_id, thread_id = answering.organization_id, answering.thread_id
    thread = threads.find(tx, organization_id, thread_id)
    business = organizations.find_business(tx, organization_id, thread.thread.business_id)
    if business is None or not business.active or not business.tells_store or business.id != answering.business_id:
        raise NotFound
    if business.email is None or digest(business.email) != answering.address_digest:
        raise NotFound
    after = max(0, thread.thread.last_sequence - LINES_MAX)
    lines = conversation.lines(tx, organization_id, thread_id, after_sequence=after)
    customer_name = customers.profile(tx, organization_id, thread.customer_id).called(for_locale(business.locale))
    return _Shown(business, customer_name, thread.thread.last_reply_sequence, lines)


def _page(
    request: Request, api: Api, shown: _Shown, *, fault: str | None = None, text: str = "", status: int = 400
) -> Response:
    texts = for_locale(shown.business.locale)
    color = shown.business.brand_color
    html = looks.page(
        "answer.html",
        texts,
        color,
        customer=shown.customer_name,
        business_name=shown.business.name,
        messages=[_line(line, shown, texts, request, api) for line in shown.lines],
        seen=shown.last_reply_sequence,
        form=uuid4(),
        fault=fault,
        is_sent=_SENT in request.query_params,
        text=text,
        max_characters=MESSAGE_MAX_CHARACTERS,
    )
    headers = {**looks.headers(color, posts_forms=True), "Cache-Control": "no-store"}
    return HTMLResponse(html, 200 if fault is None else status, headers)


def _line(line: Line, shown: _Shown, texts: Texts, request: Request, api: Api) -> dict[str, object]:
    file = line.attachment
    now_ms = time.time_ns() // 1_000_000
    link = file and api.links.link(base_url(request, api.settings), file.uuid, file.name, now_ms=now_ms)
    return {
        "author": shown.customer_name if line.from_customer else line.author or shown.business.name,
        "is_customers": line.from_customer,
        "at": texts.date_time(line.created_at_ms, shown.business.time_zone),
        "text": line.text,
        "file_name": file.name if file else None,
        "file_url": link.url if link else None,
    }
