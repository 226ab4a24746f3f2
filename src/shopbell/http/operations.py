"""Routes for those who run the server: is it alive, is it ready, how is it doing."""

from fastapi import APIRouter, Request, Response

from shopbell.errors import StorageError, TemporarilyUnavailable
from shopbell.http.connection import is_draining
from shopbell.http.metrics import exposition

# Described in reference.py: FastAPI would describe GET and HEAD twice, under one name.
router = APIRouter(include_in_schema=False)


@router.api_route("/healthz", methods=["GET", "HEAD"])
async def healthz() -> dict[str, str]:
    """Tell that the process runs. It says nothing about the database: restarting this process would not mend that."""
    return {"status": "ok"}


@router.api_route("/readyz", methods=["GET", "HEAD"])
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


@router.api_route("/metrics", methods=["GET", "HEAD"])
def metrics() -> Response:
    """Tell the metrics of this server in Prometheus' text format."""
    body, content_type = exposition()
    return Response(body, media_type=content_type)
