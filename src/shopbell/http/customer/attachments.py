"""``POST /api/customer/attachments``: files that a customer's message may carry."""

import hmac
import re

from fastapi import APIRouter, Request

from shopbell.attachments import Attachment
from shopbell.errors import NotFound
from shopbell.http.api.attachments import BODY, Uploaded
from shopbell.http.customer.access import CustomersBrowser, Visitor
from shopbell.http.customer.limits import address_of
from shopbell.http.customer.sessions import TAG
from shopbell.http.one_file import OneFile
from shopbell.http.uploads import keep_file
from shopbell.upload_quota import address_limit, customer_limits

SIGNING_PURPOSE = "customer upload"
_SIGNATURE_DIGITS = 32
_TICKET = re.compile(r"(?P<id>[1-9][0-9]{0,15})-(?P<signature>[0-9a-f]{32})", re.ASCII)

router = APIRouter(tags=[TAG])


@router.post("/api/customer/attachments", summary="Upload a file", openapi_extra=BODY)
async def upload_customers_attachment(visitor: CustomersBrowser, request: Request) -> Uploaded:
    """Upload a file, to be carried by the customer's next message. What it is, is found out by its content.

    The files of a session, of a network address and of all customers have daily limits (UTC), which the server's
    operator chooses; above one of them the answer is 429 with `maxBytes`.
    """
    kept = await keep(visitor, request, OneFile(request.scope["headers"]))
    return Uploaded(
        attachment_id=ticket_for(visitor, kept.id),
        uuid=kept.uuid,
        name=kept.name,
        content_type=kept.content_type,
        length_bytes=kept.length_bytes,
        sha256=kept.sha256,
    )


async def keep(visitor: Visitor, request: Request, form: OneFile) -> Attachment:
    """Keep a file that a customer sends.

    Raises:
        Problem: as ``uploads.keep_file``.
    """
    api, address = visitor.api, address_of(request)
    api.limits.uploads_of_address.take(address)
    limits = (
        *customer_limits(api.settings, str(visitor.session.id)),
        address_limit(api.settings, api.keys, visitor.organization_id, address),
    )
    return await keep_file(request, api, visitor.organization_id, form, limits)


def ticket_for(visitor: Visitor, attachment_id: int) -> str:
    """What a customer calls a file of his; nobody else can: ids can be guessed, and files of others could be had."""
    return f"{attachment_id}-{_signature(visitor, attachment_id, visitor.api.keys.derive(SIGNING_PURPOSE)[0])}"


def attachment_of(visitor: Visitor, ticket: str) -> int:
    """The file that a customer means.

    Raises:
        NotFound: 404; it is none of his.
    """
    match = _TICKET.fullmatch(ticket)
    if match is None:
        raise NotFound("attachmentId", "session")
    id_ = int(match["id"])
    right = [_signature(visitor, id_, key) for key in visitor.api.keys.derive(SIGNING_PURPOSE)]
    if not any(hmac.compare_digest(each, match["signature"]) for each in right):
        raise NotFound("attachmentId", "session")
    return id_


def _signature(visitor: Visitor, attachment_id: int, key: bytes) -> str:
    said = f"{visitor.organization_id} {visitor.session.customer_id} {attachment_id}"
    return hmac.digest(key, said.encode(), "sha256").hex()[:_SIGNATURE_DIGITS]
