"""Under which address this server is reached, as far as it is safe to say."""

import re

from fastapi import Request

from shopbell.settings import Settings

# A command line is made of it: nothing may pass that means something to a shell, or to a page.
PLAIN_HOST = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def base_url(request: Request, settings: Settings) -> str:
    """How this server is reached, without a slash at the end: as the operator says, else as the request says.

    Args:
        request: whoever sent it is told the address.
        settings: may name the address.
    """
    if settings.public_url is not None:
        return str(settings.public_url).rstrip("/")
    host = request.headers.get("host", "")
    if not PLAIN_HOST.fullmatch(host):
        host = f"{settings.host}:{settings.port}"
    return f"{request.url.scheme}://{host}"
