"""``/unsubscribe/{token}``: the link in mails that ends them, for people and for mail programs (RFC 8058)."""

import time
from typing import cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from shopbell.errors import NotFound
from shopbell.http.api.access import Api
from shopbell.http.customer import looks
from shopbell.mail.addresses import Audience
from shopbell.mail.unsubscribe import PATH, Subscription, Unsubscribes
from shopbell.opt_outs import OptOuts
from shopbell.outreach import subscriptions
from shopbell.outreach.subscriptions import Subscribed
from shopbell.texts import Texts, for_locale

router = APIRouter(include_in_schema=False)


@router.api_route(f"{PATH}{{token}}", methods=["GET", "HEAD"])
async def ask(request: Request, token: str) -> Response:
    """Show whether mails go out, with a button that changes it. Nothing is changed here: scanners follow links.

    Raises:
        NotFound: 404, the link is not one of ours, or its conversation is gone.
        StorageError: 503.
    """
    api, subscription = _known(request, token)
    found = await api.database.read(subscriptions.find, subscription, OptOuts(api.keys))
    return _shown(request, subscription, found)


@router.post(f"{PATH}{{token}}")
async def end(request: Request, token: str, again: bool = False) -> Response:
    """End the mails, by the button or by the mail program's own; whoever has the link needs nothing else.

    Args:
        request: its body says nothing that matters.
        token: of the link.
        again: begin them again instead.

    Raises:
        NotFound: 404, as above.
        StorageError: 503.
    """
    api, subscription = _known(request, token)
    opt_outs = OptOuts(api.keys)
    now_ms = time.time_ns() // 1_000_000
    await api.database.write(subscriptions.change, subscription, opt_outs, gets_mails=again, now_ms=now_ms)
    return _shown(request, subscription, await api.database.read(subscriptions.find, subscription, opt_outs))


def _known(request: Request, token: str) -> tuple[Api, Subscription]:
    """Nobody gets as far as the database by guessing."""
    api = cast("Api", request.app.state.api)
    subscription = Unsubscribes(api.keys).parse(token)
    if subscription is None:
        raise NotFound
    return api, subscription


def _shown(request: Request, subscription: Subscription, found: Subscribed | None) -> Response:
    if found is None:
        raise NotFound
    language = request.headers.get("accept-language", "").partition(",")[0].partition(";")[0].strip()
    texts = for_locale(language[:35], found.locale)
    html = looks.page(
        "unsubscribe.html",
        texts,
        found.brand_color,
        business_name=found.business_name,
        state=_state(texts, subscription, found),
        gets_mails=found.gets_mails,
    )
    headers = {**looks.headers(found.brand_color, posts_forms=True), "Cache-Control": "no-store"}
    return HTMLResponse(html, headers=headers)


def _state(texts: Texts, subscription: Subscription, found: Subscribed) -> str:
    name = found.business_name
    if subscription.audience is Audience.STORE:
        if found.gets_mails:
            return texts.gettext("You get an e-mail when a customer writes to {business}.", business=name)
        return texts.gettext("You get no e-mails when a customer writes to {business}.", business=name)
    if found.gets_mails:
        return texts.gettext("You get e-mails when there is an answer.")
    return texts.gettext("You get no more e-mails from {business}.", business=name)
