"""The website that a request comes from."""

from urllib.parse import urlsplit

from fastapi import Request

from shopbell.errors import RequestError
from shopbell.http.request.app_services import Services
from shopbell.http.request.base_url import base_url
from shopbell.http.request.errors import Forbidden


class OriginRefused(Forbidden):
    """403: the publishable key is not valid, or the website may not use it."""

    def __init__(self, developer_message: str) -> None:
        RequestError.__init__(self, "This website may not use this chat.", developer_message)


def own_origins(request: Request, services: Services) -> set[str]:
    """Return the origins of this server's own pages.

    If the operator has set the public URL, the ``Host`` of the request is ignored: an attacker who points another name
    at this server chooses it.
    """
    addresses = [urlsplit(base_url(request, services.settings))]
    if services.settings.public_url is None and (host := request.headers.get("host")):
        # No site can make a browser send another host than that of the URL.
        addresses.append(urlsplit(f"{request.url.scheme}://{host}"))
    return {f"{address.scheme}://{address.netloc}".lower() for address in addresses}


def check_own_form(request: Request, services: Services) -> None:
    """Accept only forms of this server's own pages.

    A page with ``no-referrer`` sends no origin with its forms, but ``Sec-Fetch-Site``. If a browser sends neither, it
    sends no cookies from other sites (``SameSite``).

    Raises:
        OriginRefused: 403.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "null")
    foreign = (
        site != "same-origin" if site is not None else origin != "null" and origin not in own_origins(request, services)
    )
    if foreign:
        raise OriginRefused("The form is not from a page of this server")


def check_own_request(request: Request, services: Services) -> None:
    """Accept only requests that a page of this server sends, as proved by the browser.

    Unlike ``check_own_form``, it refuses a request without proof: the cookie of an employee can do much.

    Raises:
        OriginRefused: 403.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site == "same-origin" or (site is None and origin in own_origins(request, services)):
        return
    raise OriginRefused("The request is not from a page of this server")


def check_own_link(request: Request, services: Services) -> None:
    """Accept only links on pages of this server, for a GET that begins a change.

    Our pages send a ``Referer`` to this server; older browsers send nothing else.

    Raises:
        OriginRefused: 403.
    """
    site, page = request.headers.get("sec-fetch-site"), urlsplit(request.headers.get("referer", ""))
    origin = f"{page.scheme}://{page.netloc}".lower()
    if site == "same-origin" or (site is None and origin in own_origins(request, services)):
        return
    raise OriginRefused("The link is not on a page of this server")
