"""Manage webhooks, which receive events from the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shopbell_client.call import Call, Done, Id, Response, get, get_list, path_segment, post
from shopbell_client.shape import json_field, read


@dataclass(frozen=True, slots=True)
class HeaderName:
    """An extra header of a webhook.

    The API never returns its value, only that it is set.
    """

    name: str
    set: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook.

    Args:
        extra_headers: None if they cannot be decrypted, because the server's secret key has changed.
        disabled_reason: ``failing`` or ``gone`` if the server disabled the webhook. Its events are kept.
        failing_since_ms: the first failure after the last success, in Unix milliseconds.
        created_at_ms: in Unix milliseconds.
    """

    id: str
    url: str
    enabled: bool
    subscribed_events: tuple[str, ...]
    payload_version: str
    extra_headers: tuple[HeaderName, ...] | None
    disabled_reason: str | None
    failing_since_ms: int | None = json_field("failingSince")
    created_at_ms: int = json_field("createdAt")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook(Webhook):
    """A new webhook and its secret for ``verify_webhook``.

    Store the secret: the API returns it only once.
    """

    secret: str = field(repr=False)


def create_webhook(
    url: str,
    subscribed_events: Sequence[str],
    *,
    enabled: bool | None = None,
    extra_headers: Mapping[str, str] | None = None,
    payload_version: str | None = None,
) -> Call[NewWebhook]:
    """Create a webhook.

    Args:
        url: an HTTPS URL.
        subscribed_events: any of ``messages``, ``transfers``, ``deliveries``.
        enabled: the default is True.
        extra_headers: headers to send with each event, for example for authorization.
        payload_version: ``flat`` for receivers that expect the fields at the top level.

    Raises:
        ValidationFailed: 400.
        ShopbellError: any other failure.
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
    """List all webhooks of the organization.

    Raises:
        ShopbellError: any failure.
    """
    return get_list("/api/webhooks", "webhooks", Webhook)


def webhook(webhook_id: Id) -> Call[Webhook]:
    """Get a webhook.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return get(f"/api/webhooks/{path_segment(webhook_id)}", Webhook)


def update_webhook(
    webhook_id: Id,
    *,
    url: str | None = None,
    subscribed_events: Sequence[str] | None = None,
    enabled: bool | None = None,
    extra_headers: Mapping[str, str] | None = None,
    payload_version: str | None = None,
) -> Call[Done]:
    """Change a webhook. None leaves a field unchanged.

    If the URL's host changes, the extra headers are removed, unless you pass them again.

    Raises:
        ValidationFailed: 400.
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(
        f"/api/webhooks/{path_segment(webhook_id)}/update",
        Done,
        url=url,
        subscribedEvents=None if subscribed_events is None else list(subscribed_events),
        enabled=enabled,
        extraHeaders=_headers(extra_headers),
        payloadVersion=payload_version,
    )


def delete_webhook(webhook_id: Id) -> Call[Done]:
    """Delete a webhook. Pending events are not sent.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """
    return post(f"/api/webhooks/{path_segment(webhook_id)}/delete", Done)


def rotate_webhook_secret(webhook_id: Id) -> Call[str]:
    """Create a new secret for a webhook, and return it.

    Store it: the API returns it only once.

    For one day, events are signed with both secrets.

    Raises:
        NotFound: 404.
        ShopbellError: any other failure.
    """

    def parse(response: Response) -> str:
        return read(str, response.json().get("secret"), "#/secret")

    return Call(method="POST", path=f"/api/webhooks/{path_segment(webhook_id)}/rotate-secret", parse=parse)


def _headers(headers: Mapping[str, str] | None) -> list[dict[str, str]] | None:
    return None if headers is None else [{"name": name, "value": value} for name, value in headers.items()]
