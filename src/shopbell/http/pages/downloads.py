"""``GET /attachments/{uuid}/{name}``: serve a file to the holder of a signed link."""

from typing import cast
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from shopbell.attachments import attachments, media_types
from shopbell.attachments.attachments import Attachment
from shopbell.errors import NotFound
from shopbell.http.request.app_services import Services
from shopbell.runtime import clock

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Nothing in a file may run or load anything.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}

router = APIRouter(include_in_schema=False)
log = structlog.get_logger()


@router.api_route("/attachments/{uuid}/{name}", methods=["GET", "HEAD"])
async def download(request: Request, uuid: str, name: str, expires: str = "", signature: str = "") -> Response:
    """Serve a file. Invalid links, expired links and deleted files get the same response.

    Raises:
        NotFound: 404.
        StorageError: 503.
    """
    services = cast("Services", request.app.state.services)
    # Guesses never reach the database.
    if not services.links.is_good(uuid, expires, signature, now_ms=clock.now_ms()):
        raise NotFound
    found = await services.database.read(attachments.find_by_uuid, uuid)
    if found is None or found.name != name or services.attachment_store is None:
        raise NotFound
    headers = {**_HEADERS, **_description(found)}
    if request.method == "HEAD":
        return Response(headers=headers)
    content = await services.attachment_store.read(found.blob)
    if content is None:
        log.error("file missing in the attachment store", attachment=found.id, organization=found.organization_id)
        raise NotFound
    return StreamingResponse(content, headers=headers)


def _description(found: Attachment) -> dict[str, str]:
    how = "inline" if found.content_type in media_types.INLINE else "attachment"
    return {
        "Content-Type": found.content_type,
        "Content-Length": str(found.length_bytes),
        "Content-Disposition": f"{how}; filename*=UTF-8''{quote(found.name, safe='')}",
    }
