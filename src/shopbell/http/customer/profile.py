"""``POST /api/customer/identify`` and ``…/survey``: what a customer says of himself, and of the store."""

import time
from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import Connection

from shopbell import customer_sessions, identity, organizations, surveys, visitors
from shopbell.customer_sessions import CustomerSession
from shopbell.errors import Fault, Invalid
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Email, Fields, FilledLine, Id, wrong
from shopbell.http.api.results import Ok
from shopbell.http.customer.access import CustomersBrowser
from shopbell.http.customer.sessions import TAG

_SCORE_MAX = 10

router = APIRouter(tags=[TAG])


def _written(text: str) -> str:
    if "\0" in text:
        raise wrong("invalid_character", "must not contain U+0000")
    return text


def _phone(text: str) -> str:
    """As far as it can be judged without knowing the country."""
    if not identity.is_international(text):
        if not identity.looks_like_phone(text):
            raise wrong("invalid_phone_number", identity.phone_fault(text))
        return text
    try:
        return identity.normal_phone(text, None)
    except ValueError as error:
        raise wrong("invalid_phone_number", str(error)) from None


class Identify(Fields):
    """What a visitor says of himself; nobody has confirmed it."""

    email: Email | None = Field(None, description="Where he can be answered.", examples=["carol@example.com"])
    phone_number: (
        Annotated[str, StringConstraints(max_length=identity.PHONE_MAX_CHARACTERS), AfterValidator(_phone)] | None
    ) = Field(None, description="Where else.", examples=["+15551234567"])
    first_name: FilledLine | None = Field(None, examples=["Carol"])
    last_name: FilledLine | None = Field(None)


class AnswerSurvey(Fields):
    """What a customer answers."""

    survey_id: Id = Field(description="The question, as the stream names it.", examples=["12371"])
    score: Annotated[int, Field(ge=0, le=_SCORE_MAX)] = Field(
        description="0 to 10 of `nps`, 1 to 5 of `csat`.", examples=[9]
    )
    comment: (
        Annotated[str, StringConstraints(max_length=surveys.COMMENT_MAX_CHARACTERS), AfterValidator(_written)] | None
    ) = Field(None, description="What he adds.")


@router.post("/api/customer/identify", summary="Say who one is", openapi_extra=described(Identify))
async def identify(visitor: CustomersBrowser, body: Annotated[Body[Identify], takes(Identify)]) -> Ok:
    """Keep what a visitor says of himself, marked as unconfirmed: he does not become another customer by it."""
    fields = body.fields
    phone = None
    if fields.phone_number is not None:
        region = await visitor.read(_region)
        try:
            phone = identity.normal_phone(fields.phone_number, region)
        except ValueError as error:
            raise Invalid([Fault("body", "#/phoneNumber", "invalid_phone_number", str(error))]) from None
    await visitor.write(
        visitors.introduce,
        email=fields.email,
        phone=phone,
        first_name=fields.first_name,
        last_name=fields.last_name,
    )
    return Ok()


@router.post("/api/customer/survey", summary="Answer a question", openapi_extra=described(AnswerSurvey))
async def answer_survey(visitor: CustomersBrowser, body: Annotated[Body[AnswerSurvey], takes(AnswerSurvey)]) -> Ok:
    """Answer what the customer was asked when his conversation was resolved; once."""
    await visitor.write(_answer, body.fields, time.time_ns() // 1_000_000)
    return Ok()


def _answer(tx: Connection, session: CustomerSession, said: AnswerSurvey, now_ms: int) -> None:
    mine = customer_sessions.threads_of(tx, session)
    surveys.answer(tx, session.organization_id, said.survey_id, mine, said.score, said.comment, now_ms=now_ms)


def _region(tx: Connection, session: CustomerSession) -> str | None:
    """Whose numbers are written without a country code."""
    if session.business_id is None:
        return None
    business = organizations.find_business(tx, session.organization_id, session.business_id)
    return None if business is None else business.default_region
