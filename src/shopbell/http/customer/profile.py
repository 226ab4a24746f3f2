"""``POST /api/customer/identify`` and ``…/survey``: contact data and survey answers of customers."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import Connection

from shopbell.conversations import surveys
from shopbell.customers import sessions, visitors
from shopbell.customers.sessions import CustomerSession
from shopbell.errors import FieldError, Invalid
from shopbell.formats import identities
from shopbell.http.customer.sessions import TAG
from shopbell.http.request.fields import Email, Fields, FilledLine, Id, field_error
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.results import Ok
from shopbell.http.request.visitor import CurrentVisitor
from shopbell.organizations import organizations
from shopbell.runtime import clock

_SCORE_MAX = 10

router = APIRouter(tags=[TAG])


def _written(text: str) -> str:
    if "\0" in text:
        raise field_error("invalid_character", "must not contain U+0000")
    return text


def _phone(text: str) -> str:
    """Check a phone number as far as possible without its country."""
    if not identities.is_international(text):
        if not identities.looks_like_phone(text):
            raise field_error("invalid_phone_number", identities.phone_fault(text))
        return text
    try:
        return identities.normal_phone(text, None)
    except ValueError as error:
        raise field_error("invalid_phone_number", str(error)) from None


class Identify(Fields):
    """Unverified contact data of a visitor."""

    email: Email | None = Field(None, description="The email address for replies.", examples=["carol@example.com"])
    phone_number: (
        Annotated[str, StringConstraints(max_length=identities.PHONE_MAX_CHARACTERS), AfterValidator(_phone)] | None
    ) = Field(None, description="The phone number for replies.", examples=["+15551234567"])
    first_name: FilledLine | None = Field(None, examples=["Carol"])
    last_name: FilledLine | None = Field(None)


class AnswerSurvey(Fields):
    """The answer to a survey."""

    survey_id: Id = Field(description="The id of the survey, from the stream.", examples=["12371"])
    score: Annotated[int, Field(ge=0, le=_SCORE_MAX)] = Field(
        description="0 to 10 of `nps`, 1 to 5 of `csat`.", examples=[9]
    )
    comment: (
        Annotated[str, StringConstraints(max_length=surveys.COMMENT_MAX_CHARACTERS), AfterValidator(_written)] | None
    ) = Field(None, description="A comment.")


@router.post("/api/customer/identify", summary="Add contact data", openapi_extra=body_schema(Identify))
async def identify(visitor: CurrentVisitor, body: Annotated[Body[Identify], json_body(Identify)]) -> Ok:
    """Store contact data of the visitor as unverified. The visitor stays the same customer."""
    fields = body.fields
    phone = None
    if fields.phone_number is not None:
        region = await visitor.read(_region)
        try:
            phone = identities.normal_phone(fields.phone_number, region)
        except ValueError as error:
            raise Invalid([FieldError("phoneNumber", "invalid_phone_number", str(error))]) from None
    await visitor.write(
        visitors.update_traits,
        email=fields.email,
        phone=phone,
        first_name=fields.first_name,
        last_name=fields.last_name,
    )
    return Ok()


@router.post("/api/customer/survey", summary="Answer a survey", openapi_extra=body_schema(AnswerSurvey))
async def answer_survey(visitor: CurrentVisitor, body: Annotated[Body[AnswerSurvey], json_body(AnswerSurvey)]) -> Ok:
    """Answer the survey of a resolved conversation, once."""
    await visitor.write(_answer, body.fields, clock.now_ms())
    return Ok()


def _answer(tx: Connection, session: CustomerSession, said: AnswerSurvey, now_ms: int) -> None:
    mine = sessions.threads_of(tx, session)
    surveys.answer(tx, session.organization_id, said.survey_id, mine, said.score, said.comment, now_ms=now_ms)


def _region(tx: Connection, session: CustomerSession) -> str | None:
    """Return the region of phone numbers without a country code."""
    if session.business_id is None:
        return None
    business = organizations.find_business(tx, session.organization_id, session.business_id)
    return None if business is None else business.default_region
