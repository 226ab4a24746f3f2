"""Webhooks: where the server tells what happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shopbell.client.call import Answer, Call, Done, Id, get, get_all, part, post
from shopbell.client.shape import named, read


@dataclass(frozen=True, slots=True)
class HeaderName:
    """A header that is sent along; its value is never told again, only that there is one."""

    name: str
    set: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One receiver of events.

    Args:
        extra_headers: None where they were encrypted under a secret key that the server no longer has.
        disabled_reason: ``failing`` or ``gone`` where the server itself switched it off; its events are held.
        failing_since_ms: the first failure since the last success, in Unix milliseconds.
        created_at_ms: in Unix milliseconds.
    """

    id: str
    url: str
    enabled: bool
    subscribed_events: tuple[str, ...]
    payload_version: str
    extra_headers: tuple[HeaderName, ...] | None
    disabled_reason: str | None
    failing_since_ms: int | None = named("failingSince")
    created_at_ms: int = named("createdAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook(Webhook):
    """A webhook that was just made, with the secret for ``verify_webhook``: keep it, it is not shown again."""

    secret: str = field(repr=False)


def create_webhook(
    url: str,
    subscribed_events: Sequence[str],
    *,
    enabled: bool | None = None,
    extra_headers: Mapping[str, str] | None = None,
    payload_version: str | None = None,
) -> Call[NewWebhook]:
    """Have events sent to an address.

    Args:
        url: HTTPS.
        subscribed_events: of ``messages``, ``transfers``, ``deliveries``.
        enabled: whether it begins at once; it does unless told otherwise.
        extra_headers: sent along, as for the receiver's own authorization; the server never tells their values again.
        payload_version: ``flat`` for receivers that read the fields at the top level.

    Raises:
        ValidationFailed: 400.
        ShopbellError: any other reason.
    """
    return post(
        "/api/webhooks",
        NewWebhook,
        url=url,
        subscribedEvents=list(subscribed_events),
        enabled=enabled,
        extraHeaders=_headers(extra_headers),
        payloadVersion=payload_version,
    )


def webhooks() -> Call[tuple[Webhook, ...]]:
    """All webhooks of the organization.

    Raises:
        ShopbellError: for any reason.
    """
    return get_all("/api/webhooks", "webhooks", Webhook)


def webhook(webhook_id: Id) -> Call[Webhook]:
    """One webhook.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return get(f"/api/webhooks/{part(webhook_id)}", Webhook)


def update_webhook(
    webhook_id: Id,
    *,
    url: str | None = None,
    subscribed_events: Sequence[str] | None = None,
    enabled: bool | None = None,
    extra_headers: Mapping[str, str] | None = None,
    payload_version: str | None = None,
) -> Call[Done]:
    """Change a webhook; what is None stays, but a new host clears the extra headers unless they are given again.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post(
        f"/api/webhooks/{part(webhook_id)}/update",
        Done,
        url=url,
        subscribedEvents=None if subscribed_events is None else list(subscribed_events),
        enabled=enabled,
        extraHeaders=_headers(extra_headers),
        payloadVersion=payload_version,
    )


def delete_webhook(webhook_id: Id) -> Call[Done]:
    """Send nothing more to a webhook, and forget it.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """
    return post(f"/api/webhooks/{part(webhook_id)}/delete", Done)


def rotate_webhook_secret(webhook_id: Id) -> Call[str]:
    """Give a webhook a new secret, and return it: keep it, it is not shown again. For a day both of them sign.

    Raises:
        NotFound: 404.
        ShopbellError: any other reason.
    """

    def parse(answer: Answer) -> str:
        return read(str, answer.json().get("secret"), "#/secret")

    return Call(method="POST", path=f"/api/webhooks/{part(webhook_id)}/rotate-secret", parse=parse)


def _headers(extra: Mapping[str, str] | None) -> list[dict[str, str]] | None:
    return None if extra is None else [{"name": name, "value": value} for name, value in extra.items()]
