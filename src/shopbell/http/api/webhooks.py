"""``/api/webhooks``: create, read, change and delete webhooks."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Path
from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from shopbell.http.request.caller import Caller, ManagesWebhooks
from shopbell.http.request.fields import Fields, PathId, field_error
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.results import Ok
from shopbell.runtime.clock import now_ms
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.urls import URL_LONGEST, check_url
from shopbell.security.encryption import Cipher
from shopbell.settings.settings import Settings
from shopbell.webhooks import endpoints, extra_headers
from shopbell.webhooks.endpoints import PayloadVersion, Webhook, WebhookChanges
from shopbell.webhooks.extra_headers import ExtraHeader
from shopbell.webhooks.subscriptions import Topic

_PIECES_MAX = 20
"""The most batches that one request skips, so that its response does not take long."""

router = APIRouter(tags=["webhooks"])

WebhookOfPath = Annotated[PathId, Path(alias="webHookId", description="The webhook.", examples=["12360"])]


def _checked(check: Callable[[Any], None], code: str) -> AfterValidator:
    def validate(value: Any) -> Any:
        try:
            check(value)
        except ValueError as error:
            raise field_error(code, str(error)) from None
        return value

    return AfterValidator(validate)


def reachable(url: str, info: ValidationInfo) -> str:
    """Validate a URL against the operator's rules, for pydantic."""
    settings = info.context
    assert isinstance(settings, Settings)  # noqa: S101 - json_body passes them
    try:
        check_url(url, AllowList.parse(settings.outbound_allow))
    except ValueError as error:
        raise field_error("invalid_format", str(error)) from None
    return url


def _without_repetition(topics: list[str]) -> list[str]:
    if len(set(topics)) < len(topics):
        raise field_error("invalid_value", "must not name an event twice")
    return topics


def _together(headers: "list[GivenHeader]") -> "list[GivenHeader]":
    try:
        extra_headers.check_together([header.name for header in headers])
    except ValueError as error:
        raise field_error("invalid_value", str(error)) from None
    return headers


class GivenHeader(Fields):
    """A header for each delivery."""

    name: Annotated[str, _checked(extra_headers.check_name, "invalid_format")] = Field(
        description="Its name; not a header of the connection, the content or the signature.",
        examples=["Authorization"],
    )
    value: Annotated[str, _checked(extra_headers.check_value, "invalid_format")] = Field(
        description="Its value: 1 to 4,096 visible ASCII characters. It is stored encrypted and never shown.",
        examples=["Bearer your-secret"],
        repr=False,
    )


Url = Annotated[str, StringConstraints(max_length=URL_LONGEST), AfterValidator(reachable)]
Topics = Annotated[
    list[Topic], Field(min_length=1, max_length=len(get_args(Topic))), AfterValidator(_without_repetition)
]
GivenHeaders = Annotated[list[GivenHeader], Field(max_length=extra_headers.HEADERS_MAX), AfterValidator(_together)]

_URL = "An https URL of at most 2,048 characters with a public address."
_TOPICS = "The events to send; at least one."
_HEADERS = "At most 20 further headers for each delivery."
_VERSION = "`envelope`: type, time and data of the event. `flat`: only the data, for older receivers."
_ENABLED = "Whether events are delivered."


class CreateWebhook(Fields):
    """A new webhook."""

    url: Url = Field(description=_URL, examples=["https://example.com/webhook"])
    subscribed_events: Topics = Field(description=_TOPICS, examples=[["messages", "transfers"]])
    enabled: bool | None = Field(None, description=f"{_ENABLED} Default: `true`.", examples=[True])
    extra_headers: GivenHeaders | None = Field(None, description=_HEADERS)
    payload_version: PayloadVersion | None = Field(None, description=f"{_VERSION} Default: `envelope`.")


class UpdateWebhook(Fields):
    """The fields of a webhook to change."""

    url: Url | None = Field(
        None,
        description=f"{_URL} Another scheme, host or port removes `extraHeaders` unless they are sent again.",
        examples=["https://example.com/webhook"],
    )
    subscribed_events: Topics | None = Field(None, description=_TOPICS, examples=[["messages"]])
    enabled: bool | None = Field(
        None,
        description="`false`: nothing is delivered, and waiting events are skipped. `true`: events are delivered "
        "from now on; if the server had disabled the webhook, held events are delivered first, in order.",
        examples=[True],
    )
    extra_headers: GivenHeaders | None = Field(None, description=f"{_HEADERS} They replace all existing ones.")
    payload_version: PayloadVersion | None = Field(None, description=_VERSION)


class SetHeader(Fields):
    """A header for each delivery, without its value."""

    name: str = Field(examples=["Authorization"])
    set: bool = Field(True, description="It has a value, which cannot be read.")


class WebhookOut(Fields):
    """A webhook, without its secrets."""

    id: str = Field(examples=["12360"])
    url: str = Field(examples=["https://example.com/webhook"])
    enabled: bool = Field(description=_ENABLED, examples=[True])
    subscribed_events: list[Topic] = Field(examples=[["messages", "transfers"]])
    payload_version: Literal["envelope", "flat", "ipns"] = Field(
        description=f"{_VERSION} `ipns`: the format of the organization's push URL.", examples=["envelope"]
    )
    extra_headers: list[SetHeader] | None = Field(
        description="`null` if they were encrypted with a secret key that the server no longer has. The operator must "
        "provide that key, or you must set the secret and the headers again."
    )
    disabled_reason: Literal["failing", "gone"] | None = Field(
        description="Why the server disabled it: it failed for days, or responded with 410. Its events are held.",
        examples=[None],
    )
    failing_since: int | None = Field(
        description="The first failure since the last success, in Unix ms.", examples=[None]
    )
    created_at: int = Field(description="In Unix ms.", examples=[1_700_000_000_000])


class CreatedWebhook(WebhookOut):
    """A new webhook, with the secret that signs its deliveries."""

    secret: str = Field(
        description="Store it: it is shown only here. A rotation shows the next one.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )


class Webhooks(Fields):
    """All webhooks of the organization."""

    webhooks: list[WebhookOut]


class NewSecret(Fields):
    """A webhook's new secret."""

    secret: str = Field(
        description="Store it: it is shown only here.", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    )


@router.post("/api/webhooks", summary="Create a webhook", openapi_extra=body_schema(CreateWebhook))
async def create_webhook(
    caller: ManagesWebhooks, body: Annotated[Body[CreateWebhook], json_body(CreateWebhook)]
) -> CreatedWebhook:
    """Create a webhook, which sends events to a URL.

    The response contains the secret that signs the deliveries; it is shown only once. The URL is validated now, and its
    address before each delivery. An organization has at most 50 webhooks.
    """
    cipher, given = cipher_of(caller), _changes(body.fields)
    made, secret = await caller.write(endpoints.create, cipher, given, actor=caller.name, now_ms=now_ms())
    return CreatedWebhook(**_members(made), secret=secret)


@router.get("/api/webhooks", summary="List the webhooks")
async def list_webhooks(caller: ManagesWebhooks) -> Webhooks:
    """List all webhooks of the organization, the oldest first."""
    found = await caller.read(endpoints.find_all, cipher_of(caller))
    return Webhooks(webhooks=[WebhookOut(**_members(each)) for each in found])


@router.get("/api/webhooks/{webHookId}", summary="Read a webhook")
async def get_webhook(caller: ManagesWebhooks, webhook_id: WebhookOfPath) -> WebhookOut:
    """Read a webhook. Its secrets are never shown."""
    return WebhookOut(**_members(await caller.read(endpoints.get, webhook_id, cipher_of(caller))))


@router.post("/api/webhooks/{webHookId}/update", summary="Change a webhook", openapi_extra=body_schema(UpdateWebhook))
async def update_webhook(
    caller: ManagesWebhooks,
    webhook_id: WebhookOfPath,
    body: Annotated[Body[UpdateWebhook], json_body(UpdateWebhook)],
) -> Ok:
    """Change the given fields of a webhook. The change takes effect within a second.

    If very many events wait for a webhook that you disable, they are skipped in batches. Enabling it before that is
    finished is 409.
    """
    if body.fields.enabled:
        await _skip_waiting(caller, webhook_id)
    cipher, changes = cipher_of(caller), _changes(body.fields)
    await caller.write(endpoints.update_webhook, webhook_id, cipher, changes, actor=caller.name, now_ms=now_ms())
    if body.fields.enabled is False:
        await _skip_waiting(caller, webhook_id)
    return Ok()


@router.post("/api/webhooks/{webHookId}/delete", summary="Delete a webhook")
async def delete_webhook(caller: ManagesWebhooks, webhook_id: WebhookOfPath) -> Ok:
    """Delete a webhook and its secrets. Nothing more is sent to it."""
    await caller.write(endpoints.delete_webhook, webhook_id, cipher_of(caller), actor=caller.name, now_ms=now_ms())
    await _skip_waiting(caller, webhook_id)
    return Ok()


@router.post("/api/webhooks/{webHookId}/rotate-secret", summary="Rotate the secret of a webhook")
async def rotate_webhook_secret(caller: ManagesWebhooks, webhook_id: WebhookOfPath) -> NewSecret:
    """Create a new secret. For 24 hours, each delivery is signed with both the old and the new secret."""
    secret = await caller.write(
        endpoints.rotate_secret, webhook_id, cipher_of(caller), actor=caller.name, now_ms=now_ms()
    )
    return NewSecret(secret=secret)


def cipher_of(caller: Caller) -> Cipher:
    """Return the cipher of webhook secrets."""
    return Cipher(caller.services.keys, endpoints.SEALING_PURPOSE)


async def _skip_waiting(caller: Caller, webhook_id: int) -> None:
    """Skip waiting events of a disabled webhook, in batches, so that other writes fit between. Workers do the rest."""
    for _ in range(_PIECES_MAX):
        if not await caller.write(endpoints.skip_waiting, webhook_id, now_ms=now_ms()):
            return


def _changes(fields: CreateWebhook | UpdateWebhook) -> WebhookChanges:
    changes: WebhookChanges = {}
    if fields.url is not None:
        changes["url"] = fields.url
    if fields.enabled is not None:
        changes["enabled"] = fields.enabled
    if fields.subscribed_events is not None:
        changes["topics"] = fields.subscribed_events
    if fields.payload_version is not None:
        changes["payload_version"] = fields.payload_version
    if fields.extra_headers is not None:
        changes["extra_headers"] = [ExtraHeader(header.name, header.value) for header in fields.extra_headers]
    return changes


def _members(webhook: Webhook) -> dict[str, Any]:
    names = webhook.extra_header_names
    return {
        "id": str(webhook.id),
        "url": webhook.url,
        "enabled": webhook.enabled,
        "subscribed_events": list(webhook.topics),
        "payload_version": webhook.payload_version,
        "extra_headers": None if names is None else [SetHeader(name=name) for name in names],
        "disabled_reason": webhook.disabled_reason,
        "failing_since": webhook.failing_since_ms,
        "created_at": webhook.created_at_ms,
    }
