"""``POST /api/authenticate-customer``: an app proves for which customer it speaks."""

import time
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter
from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema
from sqlalchemy import Connection, select

from shopbell import customer_sessions, customers, identity, private_keys
from shopbell.errors import NotFound, Unauthorized
from shopbell.http.api.access import SendsMessages
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, fault_error
from shopbell.http.ids import read_id
from shopbell.private_keys import SEALING_PURPOSE
from shopbell.sealing import Seals
from shopbell.storage.schema import customer_identities

router = APIRouter(tags=["customers"])

_ID_MAX_DIGITS = 15
_OLD_ALGORITHM: Literal["sha1"] = "sha1"


def _named(value: object) -> object:
    """An id may be an integer, as everywhere."""
    if isinstance(value, str) or value is None:
        return value
    number, fault = read_id(value, "#")
    if fault is not None:
        raise fault_error(fault)
    return str(number)


class AuthenticateCustomer(Fields):
    """The proof."""

    customer_id: Annotated[
        str,
        StringConstraints(min_length=1, max_length=identity.EMAIL_MAX_CHARACTERS),
        BeforeValidator(_named),
        WithJsonSchema({"type": ["string", "integer"], "minLength": 1, "maxLength": identity.EMAIL_MAX_CHARACTERS}),
    ] = Field(
        description="E-mail address, phone number with country code, or the customer's id. The digest is over an id's "
        "decimal digits.",
        examples=["herve@exemple.com"],
    )
    nonce: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="Chosen by the backend for this once.", examples=["RANDOM_NONCE"]
    )
    digest: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description='`HMAC-SHA-256(privateKey, nonce + ":" + customerId)`, or for older apps '
        "`SHA1(privateKey + nonce + customerId)`; in hexadecimal digits, lower case.",
        examples=["f32b6e7dd372275c80c71fc55786b5a26d54576c"],
    )
    algorithm: Literal["sha1", "hmac-sha256"] | None = Field(
        None,
        description="By which the digest was made; `sha1` unless given. `hmac-sha256` is the better one.",
        examples=["sha1"],
    )


class _Found(NamedTuple):
    """A customer, and the identity by which the app named them: an address or a number in normal form, or their id."""

    customer_id: int
    email: str | None = None
    phone: str | None = None


class CustomerAuthenticated(Fields):
    """A session of the customer's."""

    result: str = Field("ok", examples=["ok"])
    session_token: str = Field(
        description="For `Authorization: Bearer …` of the routes for customers' browsers and apps.",
        examples=["sbs_0000000000000000000000000000000000000000000000000"],
    )
    expires_at: int = Field(description="In Unix milliseconds; a new proof is needed then.", examples=[1700000000000])


class DigestRefused(Unauthorized):
    """401: no such customer, a wrong digest, or a nonce that was used: which of them is not said."""

    def __init__(self) -> None:
        super().__init__()
        self.detail = "The proof of who the customer is cannot be taken."
        self.args = (self.detail,)
        self.developer_message = "Customer, nonce and digest do not prove anything, or the nonce was used before"


class AlgorithmRefused(DigestRefused):
    """401: this server takes no digest that was made so; whose it is was not looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.developer_message = "Field 'algorithm' must be 'hmac-sha256' on this server"


@router.post(
    "/api/authenticate-customer",
    summary="Prove for which customer an app speaks",
    openapi_extra=described(AuthenticateCustomer),
)
async def authenticate_customer(
    caller: SendsMessages, body: Annotated[Body[AuthenticateCustomer], takes(AuthenticateCustomer)]
) -> CustomerAuthenticated:
    """Begin a session for a customer's app, by a digest that the organization's backend made with its private key.

    A nonce is accepted once. `shopbell organization private-key` shows the key. The session sees all conversations of
    the customer, and ends after 24 hours. 401, alike for everything that is wrong with the proof, but for an
    algorithm that this server does not take.
    """
    if caller.api.settings.customer_digests not in ("any", body.fields.algorithm or _OLD_ALGORITHM):
        raise AlgorithmRefused
    seals = Seals(caller.api.keys, SEALING_PURPOSE)
    begun = await caller.write(_begin, body.fields, seals, caller.api.sessions.keys, now_ms=time.time_ns() // 1_000_000)
    if begun is None:
        raise DigestRefused
    token, expires_at_ms = begun
    return CustomerAuthenticated(session_token=token, expires_at=expires_at_ms)


def _begin(
    tx: Connection,
    organization_id: int,
    proof: AuthenticateCustomer,
    seals: Seals,
    keys: tuple[bytes, ...],
    *,
    now_ms: int,
) -> tuple[str, int] | None:
    private_key = private_keys.find(tx, organization_id, seals)
    algorithm = proof.algorithm or _OLD_ALGORITHM
    right = private_keys.is_right(
        private_key or private_keys.PREFIX, proof.nonce, proof.customer_id, algorithm, proof.digest
    )
    if private_key is None or not right:
        return None
    if not private_keys.spend(tx, organization_id, private_key, proof.nonce, proof.digest, now_ms=now_ms):
        return None
    found = _find(tx, organization_id, proof.customer_id)
    if found is None:
        return None
    session, secret = customer_sessions.create(
        tx,
        keys,
        organization_id,
        "app",
        found.customer_id,
        verified=True,
        email=found.email,
        phone=found.phone,
        now_ms=now_ms,
    )
    return secret, session.expires_at_ms


def _find(tx: Connection, organization_id: int, named: str) -> _Found | None:
    """The customer who is known by this, and was not erased."""
    if named.isascii() and named.isdigit() and len(named) <= _ID_MAX_DIGITS:
        try:
            found = customers.find(tx, organization_id, int(named))
        except NotFound:
            return None
        return None if found.erased_at_ms is not None else _Found(found.id)
    is_email = "@" in named
    try:
        normal = identity.normal_email(named) if is_email else identity.normal_phone(named, None)
    except ValueError:
        return None
    kind, value = ("email", normal) if is_email else ("phone", identity.phone_key(normal))
    c = customer_identities.c
    query = select(c.customer_id).where(c.organization_id == organization_id, c.kind == kind, c.value == value)
    found_id: int | None = tx.scalar(query)
    if found_id is None:
        return None
    return _Found(found_id, email=normal) if is_email else _Found(found_id, phone=normal)
