"""Routes for those who run the server: is it alive, is it ready, how is it doing."""

from fastapi import APIRouter, Request, Response

from shopbell.errors import StorageError, TemporarilyUnavailable
from shopbell.http.connection import is_draining
from shopbell.http.metrics import exposition

router = APIRouter(tags=["operations"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Tell that the process runs. It says nothing about the database: restarting this process would not mend that."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> dict[str, str]:
    """Tell whether requests should be sent here.

    Raises:
        TemporarilyUnavailable: 503, the process is draining or its storage fails.
    """
    try:
        ready = not is_draining(request.scope) and await request.app.state.is_ready()
    except StorageError:
        ready = False
    if not ready:
        raise TemporarilyUnavailable
    return {"status": "ready"}


@router.get("/metrics")
def metrics() -> Response:
    """Tell the metrics of this server in Prometheus' text format."""
    body, content_type = exposition()
    return Response(body, media_type=content_type)
