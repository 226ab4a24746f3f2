"""``/unsubscribe/{token}``: the link that stops emails, for people and for mail programs (RFC 8058)."""

from typing import cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from shopbell.customers.opt_outs import OptOuts
from shopbell.email.reply_addresses import Audience
from shopbell.email.unsubscribe import PATH, Subscription, UnsubscribeLinks
from shopbell.errors import NotFound
from shopbell.http.branding import branded_page
from shopbell.http.request.app_services import Services
from shopbell.http.request.language import preferred_language
from shopbell.i18n.translations import Texts, for_locale
from shopbell.notifications import unsubscribe
from shopbell.notifications.unsubscribe import Subscribed
from shopbell.runtime import clock

router = APIRouter(include_in_schema=False)


@router.api_route(f"{PATH}{{token}}", methods=["GET", "HEAD"])
async def ask(request: Request, token: str) -> Response:
    """Show whether emails are sent, with a button to change it. Nothing changes, because mail scanners open links.

    Raises:
        NotFound: 404; the link is not valid, or its conversation is gone.
        StorageError: 503.
    """
    services, subscription = _check_link(request, token)
    found = await services.database.read(unsubscribe.find, subscription, OptOuts(services.keys))
    return _shown(request, subscription, found)


@router.post(f"{PATH}{{token}}")
async def end(request: Request, token: str, again: bool = False) -> Response:
    """Stop the emails, by the button or by that of the mail program. The link is enough.

    Args:
        request: its body does not matter.
        token: the token of the link.
        again: whether to resume emails instead.

    Raises:
        NotFound: 404, as above.
        StorageError: 503.
    """
    services, subscription = _check_link(request, token)
    opt_outs = OptOuts(services.keys)
    now_ms = clock.now_ms()
    await services.database.write(unsubscribe.change, subscription, opt_outs, gets_emails=again, now_ms=now_ms)
    return _shown(request, subscription, await services.database.read(unsubscribe.find, subscription, opt_outs))


def _check_link(request: Request, token: str) -> tuple[Services, Subscription]:
    """Check the signed link before any query, so that guesses never reach the database."""
    services = cast("Services", request.app.state.services)
    subscription = UnsubscribeLinks(services.keys).parse(token)
    if subscription is None:
        raise NotFound
    return services, subscription


def _shown(request: Request, subscription: Subscription, found: Subscribed | None) -> Response:
    if found is None:
        raise NotFound
    texts = for_locale(preferred_language(request), found.locale)
    html = branded_page.render(
        "unsubscribe.html",
        texts,
        found.brand_color,
        business_name=found.business_name,
        state=_state(texts, subscription, found),
        gets_emails=found.gets_emails,
    )
    headers = {**branded_page.headers(found.brand_color, posts_forms=True), "Cache-Control": "no-store"}
    return HTMLResponse(html, headers=headers)


def _state(texts: Texts, subscription: Subscription, found: Subscribed) -> str:
    name = found.business_name
    if subscription.audience is Audience.BUSINESS:
        if found.gets_emails:
            return texts.gettext("You receive an email when a customer writes to {business}.", business=name)
        return texts.gettext("You do not receive emails when a customer writes to {business}.", business=name)
    if found.gets_emails:
        return texts.gettext("You will receive an email when we reply.")
    return texts.gettext("You no longer receive emails from {business}.", business=name)
