"""E-mail addresses, phone numbers and locales in normal form: pure functions.

Each takes a text as somebody sent it and returns its one normal form, by which it is compared, or raises ``ValueError``
with what must be, as the end of a sentence. The submitted text is never part of it.
"""

import re
import unicodedata

import email_validator
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

EMAIL_MAX_CHARACTERS = 254
LOCALE_MAX_CHARACTERS = 35
PHONE_MAX_CHARACTERS = 40

INVALID_EMAIL = "must be an e-mail address"
INVALID_PHONE = "must be a phone number; with + and the country code it is understood everywhere"
INVALID_LOCALE = "must be a language tag such as en or pt-BR"

# Names such as shop.test or office.local are syntax, too; whether mail arrives there is not asked on this path.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

# What nearly all addresses look like. For these the library returns the same in lower case, thirty times slower; a test
# compares the two.
_PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9_+-]{1,64}(?:\.[A-Za-z0-9_+-]{1,64})*@(?:[A-Za-z0-9]{1,60}(?:-[A-Za-z0-9]{1,60})*\.)+[A-Za-z]{2,60}"
)
_PLAIN_LOCAL_MAX = 64
_PLAIN_DOMAIN_MAX = 63

_PHONE = re.compile(r"[+＋]?[\d .()/\-\u00a0\u2009\u202f\u3000\u2010-\u2015\u2212]+")
_PHONE_DIGITS = range(3, 21)

# RFC 5646, section 2.1; babel refuses tags that are well formed but unknown to it.
_LOCALE = re.compile(
    r"""(?: (?: [a-z]{2,3} (?:-[a-z]{3}){0,3} | [a-z]{4,8} )        # language
            (?: -[a-z]{4} )?                                        # script
            (?: -(?: [a-z]{2} | [0-9]{3} ) )?                       # region
            (?: -(?: [a-z0-9]{5,8} | [0-9][a-z0-9]{3} ) )*          # variants
            (?: -[0-9a-wyz] (?: -[a-z0-9]{2,8} )+ )*                # extensions
            (?: -x (?: -[a-z0-9]{1,8} )+ )?                         # private use
          | x (?: -[a-z0-9]{1,8} )+ | i (?: -[a-z0-9]{2,8} )+ )""",
    re.VERBOSE,
)


def normal_email(text: str) -> str:
    """An e-mail address in the form by which it is compared: in lower case, the domain in its ASCII form (RFC 5890).

    Args:
        text: at most 254 characters, nothing trimmed.

    Raises:
        ValueError: it does not have the syntax of an address.
    """
    if len(text) <= EMAIL_MAX_CHARACTERS and _PLAIN_EMAIL.fullmatch(text):
        local, _, domain = text.rpartition("@")
        if len(local) <= _PLAIN_LOCAL_MAX and len(domain) <= _PLAIN_DOMAIN_MAX:
            return text.lower()
    if len(text) > EMAIL_MAX_CHARACTERS:
        raise ValueError(INVALID_EMAIL)
    try:
        address = email_validator.validate_email(text, check_deliverability=False, strict=True)
    except email_validator.EmailNotValidError:
        raise ValueError(INVALID_EMAIL) from None
    local = unicodedata.normalize("NFC", address.local_part.lower())
    return f"{local}@{address.ascii_domain.lower()}"


def looks_like_phone(text: str) -> bool:
    """Whether characters and length are those of a phone number; what needs no knowledge of any country."""
    return (
        len(text) <= PHONE_MAX_CHARACTERS
        and _PHONE.fullmatch(text) is not None
        and sum(character.isdigit() for character in text) in _PHONE_DIGITS
    )


def is_international(text: str) -> bool:
    """Whether a number carries its country code."""
    return text.startswith(("+", "＋"))


def normal_phone(text: str, region: str | None) -> str:
    """A phone number in E.164.

    Possible numbers pass, assigned or not: ``+15551234567`` is one. An extension is refused, because E.164 has no room
    for it and all of a company would become one customer.

    Args:
        text: at most 40 characters.
        region: ISO 3166 code of the country whose numbers are written without ``+``; None when there is none.

    Raises:
        ValueError: it cannot be a phone number, or not without a country code.
    """
    if not looks_like_phone(text):
        raise ValueError(INVALID_PHONE)
    try:
        number = phonenumbers.parse(text, None if is_international(text) else region)
    except NumberParseException:
        raise ValueError(INVALID_PHONE) from None
    # Numbers that only work within one town have no E.164 form either.
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        raise ValueError(INVALID_PHONE)
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def normal_locale(text: str) -> str:
    """A language tag as BCP 47 writes it: ``en_US`` and ``en-us`` become ``en-US`` (RFC 5646, section 2.1.1).

    Args:
        text: at most 35 characters; a well-formed tag passes, known or not.

    Raises:
        ValueError: it is not well formed.
    """
    tag = text.replace("_", "-").lower()
    # ASCII before it became lower case: the sign of kelvin becomes a plain k.
    if not text.isascii() or len(tag) > LOCALE_MAX_CHARACTERS or not _LOCALE.fullmatch(tag):
        raise ValueError(INVALID_LOCALE)
    subtags = tag.split("-")
    for place, subtag in enumerate(subtags[1:], start=1):
        if len(subtag) == 1 or len(subtags[place - 1]) == 1:
            break  # what follows a singleton keeps its case
        if len(subtag) == 2:  # a region
            subtags[place] = subtag.upper()
        elif len(subtag) == 4 and subtag.isalpha():  # a script
            subtags[place] = subtag.title()
    return "-".join(subtags)
