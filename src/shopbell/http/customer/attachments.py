"""``POST /api/customer/attachments``: files for messages of customers."""

import hmac
import re

from fastapi import APIRouter, Request

from shopbell.attachments.attachments import Attachment
from shopbell.attachments.upload_quota import address_limit, customer_limits
from shopbell.errors import NotFound
from shopbell.http.customer.sessions import TAG
from shopbell.http.request.multipart import OneFile
from shopbell.http.request.uploads import UPLOAD_BODY, UploadedFile, keep_file
from shopbell.http.request.visitor import CurrentVisitor, Visitor
from shopbell.http.request.visitor_limits import address_of

SIGNING_PURPOSE = "customer upload"
_SIGNATURE_DIGITS = 32
_TICKET = re.compile(r"(?P<id>[1-9][0-9]{0,15})-(?P<signature>[0-9a-f]{32})", re.ASCII)

router = APIRouter(tags=[TAG])


@router.post("/api/customer/attachments", summary="Upload a file", openapi_extra=UPLOAD_BODY)
async def upload_customers_attachment(visitor: CurrentVisitor, request: Request) -> UploadedFile:
    """Upload a file for a message of the customer. The server detects the type from the content.

    There are daily limits (UTC) for the uploads of a session, of a network address and of all customers. Above one of
    them, the response is 429 with `maxBytes`.
    """
    kept = await keep(visitor, request, OneFile(request.scope["headers"]))
    return UploadedFile(
        attachment_id=ticket_for(visitor, kept.id),
        uuid=kept.uuid,
        name=kept.name,
        content_type=kept.content_type,
        length_bytes=kept.length_bytes,
        sha256=kept.sha256,
    )


async def keep(visitor: Visitor, request: Request, form: OneFile) -> Attachment:
    """Store a file of a customer.

    Raises:
        RequestError: the same as ``uploads.keep_file``.
    """
    services, address = visitor.services, address_of(request)
    services.limits.uploads_of_address.take(address)
    limits = (
        *customer_limits(services.settings, str(visitor.session.id)),
        address_limit(services.settings, services.keys, visitor.organization_id, address),
    )
    return await keep_file(request, services, visitor.organization_id, form, limits)


def ticket_for(visitor: Visitor, attachment_id: int) -> str:
    """Return the signed id of a file for its customer.

    With plain ids, a customer could guess those of other customers' files, and read the files.
    """
    return f"{attachment_id}-{_signature(visitor, attachment_id, visitor.services.keys.derive(SIGNING_PURPOSE)[0])}"


def attachment_of(visitor: Visitor, ticket: str) -> int:
    """Return the id of the file from a signed id.

    Raises:
        NotFound: 404; the file does not belong to this customer.
    """
    match = _TICKET.fullmatch(ticket)
    if match is None:
        raise NotFound("attachmentId", "session")
    id_ = int(match["id"])
    right = [_signature(visitor, id_, key) for key in visitor.services.keys.derive(SIGNING_PURPOSE)]
    if not any(hmac.compare_digest(each, match["signature"]) for each in right):
        raise NotFound("attachmentId", "session")
    return id_


def _signature(visitor: Visitor, attachment_id: int, key: bytes) -> str:
    said = f"{visitor.organization_id} {visitor.session.customer_id} {attachment_id}"
    return hmac.digest(key, said.encode(), "sha256").hex()[:_SIGNATURE_DIGITS]
