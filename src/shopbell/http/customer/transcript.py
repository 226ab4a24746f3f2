"""``GET /api/customer/transcript``: a conversation as a text file."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, StreamingResponse
from sqlalchemy import Connection

from shopbell.conversations import customer_view
from shopbell.conversations.customer_view import Line
from shopbell.customers.sessions import CustomerSession
from shopbell.http.customer.current_thread import find_thread, no_thread
from shopbell.http.customer.sessions import TAG
from shopbell.http.request.visitor import CurrentVisitor, Visitor
from shopbell.i18n import translations
from shopbell.i18n.translations import Texts
from shopbell.organizations import organizations
from shopbell.organizations.organizations import Business

PAGE_LINES = 200

router = APIRouter(tags=[TAG])


@dataclass(frozen=True, slots=True)
class _Transcript:
    thread_id: int
    business: Business
    speaks: Texts


@router.get("/api/customer/transcript", summary="Download the conversation", response_class=PlainTextResponse)
async def get_transcript(
    visitor: CurrentVisitor,
    wanted: Annotated[
        str, Query(alias="customerThreadId", max_length=16, description="For apps: which conversation.")
    ] = "",
) -> StreamingResponse:
    """Download the conversation as the customer sees it, as plain text in their language."""
    return await transcript(visitor, wanted)


async def transcript(visitor: Visitor, wanted: str = "") -> StreamingResponse:
    """Return a conversation as a download. It is streamed, so a long one needs little memory.

    Raises:
        NotFound: 404; there is no such conversation.
        StorageError: 503.
    """
    found = await visitor.read(_look, wanted)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.business.name, safe='')}.txt",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(_pieces(visitor, found), media_type="text/plain", headers=headers)


async def _pieces(visitor: Visitor, found: _Transcript) -> AsyncIterator[str]:
    yield found.business.name + "\n"
    after = 0
    while lines := await visitor.read(_piece, found.thread_id, after):
        yield "".join(_written(line, found) for line in lines)
        after = lines[-1].sequence


def _look(tx: Connection, session: CustomerSession, wanted: str) -> _Transcript:
    state = find_thread(tx, session, wanted)
    business = None if state is None else organizations.find_business(tx, session.organization_id, state.business_id)
    if state is None or business is None:
        raise no_thread(wanted)
    return _Transcript(state.thread_id, business, translations.for_locale(session.locale, business.locale))


def _piece(tx: Connection, session: CustomerSession, thread_id: int, after: int) -> list[Line]:
    return customer_view.lines(tx, session.organization_id, thread_id, after_sequence=after, limit=PAGE_LINES)


def _written(line: Line, found: _Transcript) -> str:
    speaks, business = found.speaks, found.business
    who = speaks.gettext("You") if line.from_customer else line.author or business.name
    said = [line.text] if line.text else []
    if line.attachment is not None:
        said.append(f"[{line.attachment.name}]")
    at = speaks.date_time(line.created_at_ms, business.time_zone)
    return f"\n{at}  {who}\n" + "\n".join(said) + "\n"
