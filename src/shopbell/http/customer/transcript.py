"""``GET /api/customer/transcript``: a conversation as a text to keep."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from sqlalchemy import Connection

from shopbell import conversation, organizations, texts
from shopbell.conversation import Line
from shopbell.customer_sessions import CustomerSession
from shopbell.errors import NotFound
from shopbell.http.customer.access import CustomersBrowser, Visitor
from shopbell.http.customer.sessions import TAG
from shopbell.http.customer.stream import find_thread
from shopbell.organizations import Business
from shopbell.texts import Texts

FILE_NAME = "conversation.txt"

router = APIRouter(tags=[TAG])


@dataclass(frozen=True, slots=True)
class _Transcript:
    business: Business
    lines: list[Line]


@router.get("/api/customer/transcript", summary="Download the conversation", response_class=PlainTextResponse)
async def get_transcript(
    visitor: CustomersBrowser,
    wanted: Annotated[
        str, Query(alias="customerThreadId", max_length=16, description="For apps: which conversation.")
    ] = "",
) -> PlainTextResponse:
    """The whole conversation as its customer sees it, as plain text in his language."""
    return await transcript(visitor, wanted)


async def transcript(visitor: Visitor, wanted: str = "") -> PlainTextResponse:
    """A conversation as a file to download.

    Raises:
        NotFound: 404; there is none.
        StorageError: 503.
    """
    found = await visitor.read(_look, wanted)
    speaks = texts.for_locale(visitor.session.locale, found.business.locale)
    headers = {
        "Content-Disposition": f'attachment; filename="{FILE_NAME}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return PlainTextResponse(_written(found, speaks), headers=headers)


def _look(tx: Connection, session: CustomerSession, wanted: str) -> _Transcript:
    state = find_thread(tx, session, wanted)
    business = None if state is None else organizations.find_business(tx, session.organization_id, state.business_id)
    if state is None or business is None:
        raise NotFound
    return _Transcript(business, conversation.lines(tx, session.organization_id, state.thread_id))


def _written(found: _Transcript, speaks: Texts) -> str:
    business = found.business
    parts = [business.name + "\n"]
    for line in found.lines:
        who = speaks.gettext("You") if line.from_customer else line.author or business.name
        said = [line.text] if line.text else []
        if line.attachment is not None:
            said.append(f"[{line.attachment.name}]")
        parts.append(f"{speaks.date_time(line.created_at_ms, business.time_zone)}  {who}\n" + "\n".join(said) + "\n")
    return "\n".join(parts)
