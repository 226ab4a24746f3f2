"""The kinds of fields that requests have, as pydantic types, each with its own code where the value is wrong."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from unicodedata import category

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from shopbell import identity, names
from shopbell.errors import Fault
from shopbell.http.ids import read_id
from shopbell.http.widget_fields import MESSAGE_MAX_CHARACTERS

LINE_MAX_CHARACTERS = 200


class Fields(BaseModel):
    """The fields of a request's body or of an answer: camelCase outside, ``null`` for an optional one means absent."""

    model_config = ConfigDict(
        strict=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )

    @classmethod
    def faults_beside(cls, document: Mapping[str, object]) -> list[Fault]:
        """What is wrong with fields together: pydantic looks only where each is right by itself.

        Args:
            document: the body as it was sent.
        """
        values = (
            (name, document.get(field.alias or name, document.get(name))) for name, field in cls.model_fields.items()
        )
        return cls.faults_together({name: value for name, value in values if value is not None})

    @classmethod
    def faults_together(cls, sent: Mapping[str, object]) -> list[Fault]:
        """What is wrong with fields together; nothing, unless a body has such rules.

        Args:
            sent: the fields that were sent with a value, right or wrong, by their names here.
        """
        del sent
        return []

    def given(self) -> dict[str, Any]:
        """The fields that were sent with a value, by their names here."""
        sent = ((name, getattr(self, name)) for name in self.model_fields_set)
        return {name: value for name, value in sent if value is not None}


def fault_error(fault: Fault) -> PydanticCustomError:
    """A fault, as pydantic's validators raise it."""
    # The code and the text stand in the type and the context: pydantic formats braces in a message.
    return PydanticCustomError("fault", "{detail}", {"fault_code": fault.code, "detail": fault.detail, **fault.members})


def wrong(code: str, detail: str, **members: object) -> PydanticCustomError:
    """What a validator raises: one of the stable codes, and what must be, as the end of a sentence."""
    return fault_error(Fault("body", "#", code, detail, members=members))


def _id(value: object) -> int:
    number, fault = read_id(value, "#")
    if fault is not None:
        raise fault_error(fault)
    return number


Id = Annotated[
    int,
    BeforeValidator(_id),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^(0|[1-9][0-9]{0,15})$", "minimum": 0}),
]
"""An id of a body: a decimal string or an integer."""


PathId = Annotated[int, BeforeValidator(_id), WithJsonSchema({"type": "string", "pattern": "^(0|[1-9][0-9]{0,15})$"})]
"""An id of a path. What is none is nothing that exists: 404, not 400."""


def _sayable(text: str) -> str:
    if not text.strip():
        raise wrong("blank", "must not be blank")
    if "\0" in text:
        raise wrong("invalid_character", "must not contain U+0000")
    return text


MessageText = Annotated[str, StringConstraints(max_length=MESSAGE_MAX_CHARACTERS), AfterValidator(_sayable)]
"""A text that people read: 1 to 10,000 characters, not blank, kept as sent."""


def _line(text: str) -> str:
    if any(category(character) in ("Cc", "Cs") for character in text):
        raise wrong("invalid_character", "must not contain control characters")
    return names.stored(text.strip())


def _filled(text: str) -> str:
    if not text:
        raise wrong("blank", "must not be blank")
    return text


Line = Annotated[str, StringConstraints(max_length=LINE_MAX_CHARACTERS), AfterValidator(_line)]
"""A name or title in NFC, 0 to 200 characters without control characters; outer white space is taken away."""

FilledLine = Annotated[Line, AfterValidator(_filled)]
"""As ``Line``, and not blank."""


def _by(normal: Callable[[str], str], code: str) -> AfterValidator:
    def check(text: str) -> str:
        try:
            normal(text)
        except ValueError as error:
            raise wrong(code, str(error)) from None
        return text

    return AfterValidator(check)


def typed(value: object) -> object:
    """Remove the invisible characters that pasted addresses carry; other values stay as they are."""
    return identity.visible(value) if isinstance(value, str) else value


Email = Annotated[
    str,
    BeforeValidator(typed),
    StringConstraints(max_length=identity.EMAIL_MAX_CHARACTERS),
    _by(identity.normal_email, "invalid_email"),
]
"""An e-mail address as typed, without invisible characters; ``identity.normal_email`` has its normal form."""


def _content_sid(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise wrong("invalid_format", "must consist of letters, digits, - and _")
    return text


ContentSid = Annotated[str, StringConstraints(max_length=64), AfterValidator(_content_sid)]
"""The id that a template has outside: 1 to 64 letters, digits, ``-`` and ``_``."""
