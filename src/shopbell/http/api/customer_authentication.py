"""``POST /api/authenticate-customer``: an app proves the identity of a customer."""

from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter
from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema
from sqlalchemy import Connection

from shopbell.customers import customers, sessions
from shopbell.customers import identities as customer_identities
from shopbell.errors import NotFound
from shopbell.formats import identities
from shopbell.http.request.caller import SendsMessages
from shopbell.http.request.errors import Unauthorized
from shopbell.http.request.fields import Fields, pydantic_error
from shopbell.http.request.ids import read_id
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.organizations import identity_secrets
from shopbell.organizations.identity_secrets import SEALING_PURPOSE
from shopbell.runtime import clock
from shopbell.security.encryption import Cipher

router = APIRouter(tags=["customers"])

_ID_MAX_DIGITS = 15
_OLD_ALGORITHM: Literal["sha1"] = "sha1"


def _named(value: object) -> object:
    """Accept an integer for an id, as other routes do."""
    if isinstance(value, str) or value is None:
        return value
    number, error = read_id(value, "")
    if error is not None:
        raise pydantic_error(error)
    return str(number)


class AuthenticateCustomer(Fields):
    """The proof of the identity."""

    customer_id: Annotated[
        str,
        StringConstraints(min_length=1, max_length=identities.EMAIL_MAX_CHARACTERS),
        BeforeValidator(_named),
        WithJsonSchema({"type": ["string", "integer"], "minLength": 1, "maxLength": identities.EMAIL_MAX_CHARACTERS}),
    ] = Field(
        description="The email address, the phone number with country code, or the id of the customer. The digest uses "
        "the decimal digits of an id.",
        examples=["herve@exemple.com"],
    )
    nonce: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="A value that the backend uses only once.", examples=["RANDOM_NONCE"]
    )
    digest: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description='`HMAC-SHA-256(privateKey, nonce + ":" + customerId)`, or for older apps '
        "`SHA1(privateKey + nonce + customerId)`; in hexadecimal digits, lower case.",
        examples=["f32b6e7dd372275c80c71fc55786b5a26d54576c"],
    )
    algorithm: Literal["sha1", "hmac-sha256"] | None = Field(
        None,
        description="The algorithm of the digest; `sha1` by default. Use `hmac-sha256` in new apps.",
        examples=["sha1"],
    )


class _Found(NamedTuple):
    """A customer, and the identity that the app sent, in normal form. Both are None if the app sent the id."""

    customer_id: int
    email: str | None = None
    phone: str | None = None


class CustomerAuthenticated(Fields):
    """A session of the customer."""

    result: str = Field("ok", examples=["ok"])
    session_token: str = Field(
        description="For `Authorization: Bearer …` on the routes under `/api/customer`.",
        examples=["sbs_0000000000000000000000000000000000000000000000000"],
    )
    expires_at: int = Field(
        description="When the session ends, in Unix milliseconds. The app then needs a new proof.",
        examples=[1700000000000],
    )


class DigestRefused(Unauthorized):
    """401: unknown customer, wrong digest, or used nonce. Which of them is not said."""

    def __init__(self) -> None:
        super().__init__()
        self.detail = "The identity of the customer is not proven."
        self.args = (self.detail,)
        self.developer_message = "Customer, nonce and digest do not match, or the nonce was used before"


class AlgorithmRefused(DigestRefused):
    """401: this server does not accept the algorithm. The digest was not checked."""

    def __init__(self) -> None:
        super().__init__()
        self.developer_message = "Field 'algorithm' must be 'hmac-sha256' on this server"


@router.post(
    "/api/authenticate-customer",
    summary="Authenticate a customer of an app",
    openapi_extra=body_schema(AuthenticateCustomer),
)
async def authenticate_customer(
    caller: SendsMessages, body: Annotated[Body[AuthenticateCustomer], json_body(AuthenticateCustomer)]
) -> CustomerAuthenticated:
    """Start a session for a customer of an app. The organization's backend signs the request with its private key.

    A nonce is accepted once. `shopbell organization private-key` shows the key. The session sees all conversations of
    the customer and ends after 24 hours. Any invalid proof gets the same 401, except for an algorithm that this server
    does not accept.
    """
    if caller.services.settings.customer_digests not in ("any", body.fields.algorithm or _OLD_ALGORITHM):
        raise AlgorithmRefused
    cipher = Cipher(caller.services.keys, SEALING_PURPOSE)
    begun = await caller.write(_begin, body.fields, cipher, caller.services.sessions.keys, now_ms=clock.now_ms())
    if begun is None:
        raise DigestRefused
    token, expires_at_ms = begun
    return CustomerAuthenticated(session_token=token, expires_at=expires_at_ms)


def _begin(
    tx: Connection,
    organization_id: int,
    proof: AuthenticateCustomer,
    cipher: Cipher,
    keys: tuple[bytes, ...],
    *,
    now_ms: int,
) -> tuple[str, int] | None:
    private_key = identity_secrets.find(tx, organization_id, cipher)
    algorithm = proof.algorithm or _OLD_ALGORITHM
    right = identity_secrets.is_right(
        private_key or identity_secrets.PREFIX, proof.nonce, proof.customer_id, algorithm, proof.digest
    )
    if private_key is None or not right:
        return None
    if not identity_secrets.consume(tx, organization_id, private_key, proof.nonce, proof.digest, now_ms=now_ms):
        return None
    found = _find(tx, organization_id, proof.customer_id)
    if found is None:
        return None
    session, secret = sessions.create(
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
        normal = identities.normal_email(named) if is_email else identities.normal_phone(named, None)
    except ValueError:
        return None
    kind, value = ("email", normal) if is_email else ("phone", identities.phone_key(normal))
    found_id = customer_identities.find_holder(tx, organization_id, kind, value)
    if found_id is None:
        return None
    return _Found(found_id, email=normal) if is_email else _Found(found_id, phone=normal)
