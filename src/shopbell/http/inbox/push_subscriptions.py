"""``/api/push-subscriptions``: notify the browsers of employees."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, StringConstraints

from shopbell.errors import FieldError, Invalid
from shopbell.http.api.webhooks import Url
from shopbell.http.inbox.person import ActingAs, person
from shopbell.http.request.caller import ReadsSomeThreads
from shopbell.http.request.fields import Fields, PathId
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.results import Ok
from shopbell.runtime.clock import now_ms
from shopbell.security.encryption import Cipher
from shopbell.web_push import subscriptions, vapid
from shopbell.web_push.encryption import BrowserKeys
from shopbell.web_push.subscriptions import Address
from shopbell.web_push.vapid import Vapid

ROUTE = "/api/push-subscriptions"
_KEY = "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM"

router = APIRouter(tags=["inbox"])

KeyText = Annotated[str, StringConstraints(max_length=200)]


class PushKeys(Fields):
    """The keys of a subscription, in base64url."""

    p256dh: KeyText = Field(alias="p256dh", description="The public key of the browser.", examples=[_KEY])
    auth: KeyText = Field(description="The secret of the subscription.", examples=["tBHItJI5svbpez7KI4CCXg"])


class Subscribe(ActingAs):
    """A subscription as ``PushSubscription.toJSON()`` gives it."""

    endpoint: Url = Field(
        description="The URL at the push service of the browser.", examples=["https://push.example.com/send/f3a9c1"]
    )
    keys: PushKeys = Field(description="The two keys.", examples=[{"p256dh": _KEY, "auth": "tBHItJI5svbpez7KI4CCXg"}])


class Unsubscribe(ActingAs):
    """Who unsubscribes."""


class Subscribed(Fields):
    """The browser gets notifications."""

    push_subscription_id: str = Field(examples=["12370"])


class PublicKey(Fields):
    """The key of this installation."""

    public_key: str = Field(
        description="For `applicationServerKey` of `pushManager.subscribe()`, in base64url.", examples=[_KEY]
    )


SubscriptionOfPath = Annotated[
    PathId, Path(alias="pushSubscriptionId", description="The subscription.", examples=["12370"])
]


@router.get(f"{ROUTE}/key", summary="Read the key for push subscriptions")
async def get_push_key(caller: ReadsSomeThreads) -> PublicKey:
    """Read the public key with which browsers subscribe.

    It is the same for all organizations, and does not change.
    """
    cipher = Cipher(caller.services.keys, vapid.SEALING_PURPOSE)
    pem = await caller.services.database.read(vapid.find, cipher)
    if pem is None:
        pem = await caller.services.database.write(vapid.create, cipher)
    return PublicKey(public_key=Vapid(pem, "").public_key)


@router.post(ROUTE, openapi_extra=body_schema(Subscribe), summary="Notify a browser")
async def subscribe_browser(
    caller: ReadsSomeThreads, body: Annotated[Body[Subscribe], json_body(Subscribe)]
) -> Subscribed:
    """Send notifications of an employee to a browser, as long as its session lasts.

    The employee is notified when a conversation is assigned to them, when a note mentions them, and when a customer
    writes in a conversation that is assigned to them. Send the same subscription again to learn its id. An employee can
    have 20 browsers; one more replaces the oldest.
    """
    fields = body.fields
    try:
        keys = BrowserKeys.parse(fields.keys.p256dh, fields.keys.auth)
    except ValueError as error:
        raise Invalid([FieldError("keys", "invalid_format", str(error))]) from None
    id_ = await caller.services.database.write(
        subscriptions.subscribe,
        caller.organization_id,
        person(caller, fields.employee_user_id),
        Address(fields.endpoint, keys),
        Cipher(caller.services.keys, subscriptions.SEALING_PURPOSE),
        session_id=caller.session_id,
        now_ms=now_ms(),
    )
    return Subscribed(push_subscription_id=str(id_))


@router.post(
    f"{ROUTE}/{{pushSubscriptionId}}/delete", openapi_extra=body_schema(Unsubscribe), summary="Stop notifying a browser"
)
async def unsubscribe_browser(
    caller: ReadsSomeThreads,
    push_subscription_id: SubscriptionOfPath,
    body: Annotated[Body[Unsubscribe], json_body(Unsubscribe)],
) -> Ok:
    """Send no more notifications to a browser."""
    employee_id = person(caller, body.fields.employee_user_id)
    await caller.services.database.write(
        subscriptions.unsubscribe, caller.organization_id, employee_id, push_subscription_id
    )
    return Ok()
