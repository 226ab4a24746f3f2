"""Routes for operators: health, readiness and metrics."""

from fastapi import APIRouter, Request, Response

from shopbell import __version__
from shopbell.errors import StorageError
from shopbell.http.server.connection import is_draining
from shopbell.http.server.errors import TemporarilyUnavailable
from shopbell.runtime.metrics import exposition

# Described in openapi/document.py: FastAPI would describe GET and HEAD separately, under one name.
router = APIRouter(include_in_schema=False)
metrics_router = APIRouter(include_in_schema=False)
"""For servers without a separate port for metrics."""


@router.api_route("/healthz", methods=["GET", "HEAD"])
async def healthz() -> dict[str, str]:
    """Return 200 and the version while the process runs.

    The database does not count: a restart would not repair it.
    """
    return {"status": "ok", "version": __version__}


@router.api_route("/readyz", methods=["GET", "HEAD"])
async def readyz(request: Request) -> dict[str, str]:
    """Return 200 if the process can take requests.

    Raises:
        TemporarilyUnavailable: 503; the process is draining, or its storage fails.
    """
    try:
        ready = not is_draining(request.scope) and await request.app.state.is_ready()
    except StorageError:
        ready = False
    if not ready:
        raise TemporarilyUnavailable
    return {"status": "ready"}


@metrics_router.api_route("/metrics", methods=["GET", "HEAD"])
def metrics() -> Response:
    """Return the metrics in Prometheus' text format."""
    body, content_type = exposition()
    return Response(body, media_type=content_type)
