"""``/api/webhooks``: who is told of events, and where."""

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar, get_args

from fastapi import APIRouter, Path
from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo
from sqlalchemy import Connection

from shopbell import audit, extra_headers, webhooks
from shopbell.extra_headers import ExtraHeader
from shopbell.http.api.access import Caller, ManagesWebhooks
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, PathId, wrong
from shopbell.http.api.results import Ok
from shopbell.outbound.addresses import AllowList
from shopbell.outbound.targets import URL_LONGEST, check_url
from shopbell.sealing import Seals
from shopbell.settings import Settings
from shopbell.webhooks import Webhook, WebhookChanges

T = TypeVar("T")

_PIECES_MAX = 20
"""Most pieces that one request puts aside: it is to be answered soon."""

router = APIRouter(tags=["webhooks"])

WebhookOfPath = Annotated[PathId, Path(alias="webHookId", description="The webhook.", examples=["12360"])]


def _checked(check: Callable[[Any], None], code: str) -> AfterValidator:
    def validate(value: Any) -> Any:
        try:
            check(value)
        except ValueError as error:
            raise wrong(code, str(error)) from None
        return value

    return AfterValidator(validate)


def reachable(url: str, info: ValidationInfo) -> str:
    """Check a URL by the operator's rules, as pydantic does."""
    settings = info.context
    assert isinstance(settings, Settings)  # noqa: S101 - body.takes gives them
    try:
        check_url(url, AllowList.parse(settings.outbound_allow))
    except ValueError as error:
        raise wrong("invalid_format", str(error)) from None
    return url


def _without_repetition(topics: list[str]) -> list[str]:
    if len(set(topics)) < len(topics):
        raise wrong("invalid_value", "must not name an event twice")
    return topics


def _together(headers: "list[GivenHeader]") -> "list[GivenHeader]":
    try:
        extra_headers.check_together([header.name for header in headers])
    except ValueError as error:
        raise wrong("invalid_value", str(error)) from None
    return headers


class GivenHeader(Fields):
    """A header to be sent with each delivery."""

    name: Annotated[str, _checked(extra_headers.check_name, "invalid_format")] = Field(
        description="Its name; none that belongs to the connection, to the content or to the signature.",
        examples=["Authorization"],
    )
    value: Annotated[str, _checked(extra_headers.check_value, "invalid_format")] = Field(
        description="Its value: 1 to 4,096 visible ASCII characters. It is kept encrypted and shown to nobody.",
        examples=["Bearer your-secret"],
        repr=False,
    )


Url = Annotated[str, StringConstraints(max_length=URL_LONGEST), AfterValidator(reachable)]
Topic = Literal["messages", "transfers", "deliveries"]
Topics = Annotated[
    list[Topic], Field(min_length=1, max_length=len(get_args(Topic))), AfterValidator(_without_repetition)
]
GivenHeaders = Annotated[list[GivenHeader], Field(max_length=extra_headers.HEADERS_MAX), AfterValidator(_together)]
PayloadVersion = Literal["envelope", "flat"]

_URL = "An https URL of at most 2,048 characters that leads to a public address."
_TOPICS = "What to be told of; at least one."
_HEADERS = "At most 20 headers to be sent beside ours, all of them with each delivery."
_VERSION = "`envelope`: the event's type, time and data. `flat`: the data alone, as older receivers read it."
_ENABLED = "Whether events are delivered."


class CreateWebhook(Fields):
    """A new webhook."""

    url: Url = Field(description=_URL, examples=["https://example.com/webhook"])
    subscribed_events: Topics = Field(description=_TOPICS, examples=[["messages", "transfers"]])
    enabled: bool | None = Field(None, description=f"{_ENABLED} `true` unless given.", examples=[True])
    extra_headers: GivenHeaders | None = Field(None, description=_HEADERS)
    payload_version: PayloadVersion | None = Field(None, description=f"{_VERSION} `envelope` unless given.")


class UpdateWebhook(Fields):
    """What to change of a webhook; what is absent stays."""

    url: Url | None = Field(
        None,
        description=f"{_URL} Another scheme, host or port takes `extraHeaders` away unless they are sent again.",
        examples=["https://example.com/webhook"],
    )
    subscribed_events: Topics | None = Field(None, description=_TOPICS, examples=[["messages"]])
    enabled: bool | None = Field(
        None,
        description="`false`: nothing is delivered any more, and what waits is skipped. `true`: from now on it is; "
        "where the server itself had switched it off, what was held is delivered first, in order.",
        examples=[True],
    )
    extra_headers: GivenHeaders | None = Field(None, description=f"{_HEADERS} They replace all that there were.")
    payload_version: PayloadVersion | None = Field(None, description=_VERSION)


class SetHeader(Fields):
    """A header that is sent with each delivery; its value is a secret."""

    name: str = Field(examples=["Authorization"])
    set: bool = Field(True, description="It has a value, which cannot be read.")


class ShownWebhook(Fields):
    """A webhook, without its secrets."""

    id: str = Field(examples=["12360"])
    url: str = Field(examples=["https://example.com/webhook"])
    enabled: bool = Field(description=_ENABLED, examples=[True])
    subscribed_events: list[Topic] = Field(examples=[["messages", "transfers"]])
    payload_version: Literal["envelope", "flat", "ipns"] = Field(
        description=f"{_VERSION} `ipns`: that of the organization's push URL.", examples=["envelope"]
    )
    extra_headers: list[SetHeader] | None = Field(
        description="`null` where they were encrypted under a secret key that the server no longer has: the operator "
        "must name it, or the secret and the headers be set anew."
    )
    disabled_reason: Literal["failing", "gone"] | None = Field(
        description="Why the server itself switched it off: it failed for days, or answered 410. Its events are held.",
        examples=[None],
    )
    failing_since: int | None = Field(
        description="The first failure since the last success, in Unix ms.", examples=[None]
    )
    created_at: int = Field(description="In Unix ms.", examples=[1_700_000_000_000])


class CreatedWebhook(ShownWebhook):
    """A new webhook, with the secret that signs what it is sent."""

    secret: str = Field(
        description="Keep it: it is shown only here, and the next one when it is rotated.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )


class Webhooks(Fields):
    """All webhooks of the organization."""

    webhooks: list[ShownWebhook]


class NewSecret(Fields):
    """A webhook's new secret."""

    secret: str = Field(
        description="Keep it: it is shown only here.", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    )


@router.post("/api/webhooks", summary="Create a webhook", openapi_extra=described(CreateWebhook))
async def create_webhook(
    caller: ManagesWebhooks, body: Annotated[Body[CreateWebhook], takes(CreateWebhook)]
) -> CreatedWebhook:
    """Have an address told of every message, or of every transfer of a conversation.

    The answer has the secret that signs the deliveries; it is shown this once. The address is checked for its form
    here, and each time before something is sent to it. An organization has at most 50 webhooks.
    """

    def work(tx: Connection, organization_id: int, now_ms: int) -> tuple[Webhook, str]:
        made, secret = webhooks.create(tx, organization_id, seals_of(caller), _changes(body.fields), now_ms=now_ms)
        return note(tx, caller, "webhook.create", made.id, (made, secret), now_ms)

    made, secret = await caller.write(work, _now_ms())
    return CreatedWebhook(**_members(made), secret=secret)


@router.get("/api/webhooks", summary="List the webhooks")
async def list_webhooks(caller: ManagesWebhooks) -> Webhooks:
    """List all webhooks of the organization, the oldest first."""
    found = await caller.read(webhooks.find_all, seals_of(caller))
    return Webhooks(webhooks=[ShownWebhook(**_members(each)) for each in found])


@router.get("/api/webhooks/{webHookId}", summary="Read a webhook")
async def get_webhook(caller: ManagesWebhooks, webhook_id: WebhookOfPath) -> ShownWebhook:
    """Read a webhook: where it leads, what it is told of, whether it works. Its secrets are shown to nobody."""
    return ShownWebhook(**_members(await caller.read(webhooks.get, webhook_id, seals_of(caller))))


@router.post("/api/webhooks/{webHookId}/update", summary="Change a webhook", openapi_extra=described(UpdateWebhook))
async def update_webhook(
    caller: ManagesWebhooks,
    webhook_id: WebhookOfPath,
    body: Annotated[Body[UpdateWebhook], takes(UpdateWebhook)],
) -> Ok:
    """Change what is sent of a webhook; all else stays as it is. All processes go by it within a second.

    Where very much waited for a webhook that was switched off, it is skipped piece by piece; 409 to who switches it on
    before all of it is.
    """

    def work(tx: Connection, organization_id: int, now_ms: int) -> None:
        changes, seals = _changes(body.fields), seals_of(caller)
        webhooks.update_webhook(tx, organization_id, webhook_id, seals, changes, now_ms=now_ms)
        note(tx, caller, "webhook.update", webhook_id, None, now_ms)

    if body.fields.enabled:
        await _skip_waiting(caller, webhook_id)
    await caller.write(work, _now_ms())
    if body.fields.enabled is False:
        await _skip_waiting(caller, webhook_id)
    return Ok()


@router.post("/api/webhooks/{webHookId}/delete", summary="Delete a webhook")
async def delete_webhook(caller: ManagesWebhooks, webhook_id: WebhookOfPath) -> Ok:
    """Delete a webhook: nothing is sent to it any more, and its secrets are forgotten at once."""

    def work(tx: Connection, organization_id: int, now_ms: int) -> None:
        webhooks.delete_webhook(tx, organization_id, webhook_id, seals_of(caller), now_ms=now_ms)
        note(tx, caller, "webhook.delete", webhook_id, None, now_ms)

    await caller.write(work, _now_ms())
    await _skip_waiting(caller, webhook_id)
    return Ok()


@router.post("/api/webhooks/{webHookId}/rotate-secret", summary="Give a webhook a new secret")
async def rotate_webhook_secret(caller: ManagesWebhooks, webhook_id: WebhookOfPath) -> NewSecret:
    """Give a webhook a new secret. For 24 hours each delivery is signed by both, the old one and the new one."""

    def work(tx: Connection, organization_id: int, now_ms: int) -> str:
        secret = webhooks.rotate_secret(tx, organization_id, webhook_id, seals_of(caller), now_ms=now_ms)
        return note(tx, caller, "webhook.rotate-secret", webhook_id, secret, now_ms)

    return NewSecret(secret=await caller.write(work, _now_ms()))


def seals_of(caller: Caller) -> Seals:
    """What webhooks' secrets are kept under."""
    return Seals(caller.api.keys, webhooks.SEALING_PURPOSE)


def note(tx: Connection, caller: Caller, action: str, webhook_id: int, result: T, now_ms: int) -> T:
    """Write into the audit what was done to a webhook, and pass the result on."""
    audit.record(tx, caller.organization_id, caller.name, action, f"webhook {webhook_id}", now_ms=now_ms)
    return result


async def _skip_waiting(caller: Caller, webhook_id: int) -> None:
    """Put aside what waits for a webhook that is off, in pieces between which others write; workers do the rest."""
    for _ in range(_PIECES_MAX):
        if not await caller.write(webhooks.skip_waiting, webhook_id, now_ms=_now_ms()):
            return


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


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
