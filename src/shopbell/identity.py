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
EXTENSION = "must be a phone number without an extension"
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
_SHORT_CODE_MAX_DIGITS = 6
# Marks of direction, spaces without width and other invisible characters; web pages and address books add them.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]+")
_SPACES = " \u00a0\u2002\u2003\u2007\u2009\u202f\u3000"

# Numbers that are written in two ways, in E.164, each with its key. Brazil's mobile numbers got a ninth digit, and
# WhatsApp leaves it out of many; Argentina has a 9, and Mexico had a 1, before mobile numbers that are called or texted
# from abroad.
_SPELLINGS = (
    (re.compile(r"\+55([1-9]{2})([6-9][0-9]{7})"), r"+55\g<1>9\g<2>"),
    (re.compile(r"\+549([1-9][0-9]{9})"), r"+54\g<1>"),
    (re.compile(r"\+521([1-9][0-9]{9})"), r"+52\g<1>"),
)
_OTHER_SPELLINGS = (
    (re.compile(r"\+55([1-9]{2})9([6-9][0-9]{7})"), r"+55\g<1>\g<2>"),
    (re.compile(r"\+54([1-8][0-9]{9})"), r"+549\g<1>"),
    (re.compile(r"\+52([1-9][0-9]{9})"), r"+521\g<1>"),
)
_SPELT_TWICE = ("+55", "+54", "+52")
_MEXICAN_DIGITS = re.compile(r"\+?52(1)([1-9][0-9]{9})|(?:01|04[45]|1)([1-9][0-9]{9})")

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


def visible(text: str) -> str:
    """Remove the invisible characters and the outer spaces of an address that a person typed or pasted."""
    return (text if text.isascii() else _INVISIBLE.sub("", text)).strip(_SPACES)


def looks_like_phone(text: str) -> bool:
    """Whether characters and length are those of a phone number; what needs no knowledge of any country."""
    text = visible(text)
    return (
        len(text) <= PHONE_MAX_CHARACTERS
        and _PHONE.fullmatch(text) is not None
        and sum(character.isdigit() for character in text) in _PHONE_DIGITS
    )


def is_international(text: str) -> bool:
    """Whether a number carries its country code."""
    return visible(text).startswith(("+", "＋"))


def normal_phone(text: str, region: str | None) -> str:
    """A phone number in E.164.

    Possible numbers pass, assigned or not: ``+15551234567`` is one. An extension is refused, because E.164 has no room
    for it and all of a company would become one customer. A number that is written in two ways stays as it is written:
    ``phone_key`` is the same of both.

    Args:
        text: at most 40 characters, invisible ones and spaces around it not counted.
        region: ISO 3166 code of the country whose numbers are written without ``+``; None when there is none.

    Raises:
        ValueError: it cannot be a phone number, or not without a country code.
    """
    text = visible(text)
    if not looks_like_phone(text):
        raise ValueError(phone_fault(text))
    is_complete = is_international(text)
    if (text.startswith("+52") if is_complete else region == "MX") and (mexican := _mexican(text)):
        return mexican
    try:
        number = phonenumbers.parse(text, None if is_complete else region)
    except NumberParseException:
        raise ValueError(INVALID_PHONE) from None
    # Numbers that only work within one town have no E.164 form either.
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        raise ValueError(INVALID_PHONE)
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def phone_fault(text: str) -> str:
    """What is wrong with a text that does not look like a phone number."""
    try:
        # Any country will do: it is only asked whether a number is followed by an extension.
        is_extended = len(text) <= PHONE_MAX_CHARACTERS and phonenumbers.parse(text, "US").extension is not None
    except NumberParseException:
        is_extended = False
    return EXTENSION if is_extended else INVALID_PHONE


def provider_phone(text: str, region: str | None) -> str:
    """A number as a provider of texts writes it, in E.164; a short code or a name as it is.

    Providers may leave out the ``+`` of E.164, or write numbers of their own country as people do there. What is valid
    both ways is one of that country.

    Args:
        text: the number, the short code or the name.
        region: ISO 3166 code of the country of the number at the other end; None where it is not known.
    """
    if is_international(text):
        readings = [_reading(text, None)]
    elif len(text) <= _SHORT_CODE_MAX_DIGITS:  # in some countries it would be a number, too
        readings = []
    else:
        readings = [_reading(text, region), _reading(f"+{text}", None)]
    found = [each for each in readings if each is not None]
    valid = (each for each in found if phonenumbers.is_valid_number(phonenumbers.parse(phone_key(each))))
    # A number that is not assigned is taken as providers write most of them.
    return next(valid, found[-1] if found else text)


def region_of(number: str) -> str | None:
    """The ISO 3166 code of the country of a number in E.164; None for a short code or a name."""
    try:
        region: str | None = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except NumberParseException:
        return None
    return region


def phone_key(number: str) -> str:
    """By which a number is compared: the same for both spellings of one that is written in two ways.

    Args:
        number: in E.164, or a short code.
    """
    if number.startswith(_SPELT_TWICE):
        for spelling, key in _SPELLINGS:
            if match := spelling.fullmatch(number):
                return match.expand(key)
    return number


def phone_spellings(number: str) -> list[str]:
    """All spellings in E.164 of a number, its key first."""
    key = phone_key(number)
    matches = ((pattern.fullmatch(key), other) for pattern, other in _OTHER_SPELLINGS)
    return [key, *(match.expand(other) for match, other in matches if match)]


def phone_as_shown(key: str, shown: str) -> str:
    """The spelling in E.164 that a customer used.

    Args:
        key: the number's key.
        shown: as it was first sent; where that is without a country code, the key is all that is known.
    """
    if not key.startswith(_SPELT_TWICE) or not is_international(shown):
        return key
    number = _reading(shown, None)
    return number if number is not None and phone_key(number) == key else key


def _reading(text: str, region: str | None) -> str | None:
    try:
        return normal_phone(text, region)
    except ValueError:
        return None


def _mexican(text: str) -> str | None:
    """A Mexican mobile number with the digits that were dialled before it until 2019, which the library does not know
    any more; one from abroad keeps its 1, by which WhatsApp knows it."""
    match = _MEXICAN_DIGITS.fullmatch(re.sub(r"[^+\d]", "", text))
    return f"+52{match[1] or ''}{match[2] or match[3]}" if match else None


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
