"""The base URL of this server, and the relative path to it."""

import re

from fastapi import Request

from shopbell.settings.settings import Settings

# The host is shown in a shell command and in pages: it must not contain characters with a meaning there.
PLAIN_HOST = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def base_url(request: Request, settings: Settings) -> str:
    """Return the base URL without a final slash: ``public_url`` of the settings, or else the host of the request."""
    if settings.public_url is not None:
        return str(settings.public_url).rstrip("/")
    host = request.headers.get("host", "")
    if not PLAIN_HOST.fullmatch(host):
        host = f"{settings.host}:{settings.port}"
    return f"{request.url.scheme}://{host}"


def root_of(request: Request) -> str:
    """The relative path from a page to the server's root, even behind a proxy's path."""
    path: str = request.scope["path"]
    return "../" * (path.count("/") - 1)
