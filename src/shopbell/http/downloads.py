"""``GET /attachments/{uuid}/{name}``: a file, for whoever has a link that is signed and not over."""

import time
from typing import cast
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from shopbell import attachments, media_types
from shopbell.attachments import Attachment
from shopbell.errors import NotFound
from shopbell.http.api.access import Api

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Whatever a file is, nothing in it may run, or load anything.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}

router = APIRouter(include_in_schema=False)
log = structlog.get_logger()


@router.api_route("/attachments/{uuid}/{name}", methods=["GET", "HEAD"])
async def download(request: Request, uuid: str, name: str, expires: str = "", signature: str = "") -> Response:
    """Give a file. A link that is wrong, over, or of a file that is gone is told in one and the same way.

    Raises:
        NotFound: 404.
        StorageError: 503.
    """
    api = cast("Api", request.app.state.api)
    # Nobody gets as far as the database by guessing.
    if not api.links.is_good(uuid, expires, signature, now_ms=time.time_ns() // 1_000_000):
        raise NotFound
    found = await api.database.read(attachments.find_by_uuid, uuid)
    if found is None or found.name != name or api.blobs is None:
        raise NotFound
    headers = {**_HEADERS, **_description(found)}
    if request.method == "HEAD":
        return Response(headers=headers)
    content = await api.blobs.read(found.blob)
    if content is None:
        log.error("the attachment store has lost a file", attachment=found.id, organization=found.organization_id)
        raise NotFound
    return StreamingResponse(content, headers=headers)


def _description(found: Attachment) -> dict[str, str]:
    how = "inline" if found.content_type in media_types.INLINE else "attachment"
    return {
        "Content-Type": found.content_type,
        "Content-Length": str(found.length_bytes),
        "Content-Disposition": f"{how}; filename*=UTF-8''{quote(found.name, safe='')}",
    }
