"""Normalize email addresses, phone numbers and locales.

Each function returns the normal form of a submitted text, which is used for comparisons, or raises ``ValueError``. The
message completes a sentence such as "'email' must be …" and never contains the submitted text.
"""

import re
import unicodedata
from functools import cache, lru_cache

import email_validator
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

EMAIL_MAX_CHARACTERS = 254
LOCALE_MAX_CHARACTERS = 35
PHONE_MAX_CHARACTERS = 40

INVALID_EMAIL = "must be an email address"
INVALID_PHONE = "must be a phone number; with + and the country code it is understood everywhere"
EXTENSION = "must be a phone number without an extension"
INVALID_LOCALE = "must be a language tag such as en or pt-BR"

# Domains such as shop.test or office.local are valid syntax; deliverability does not matter here.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

# A fast path for nearly all addresses. The library returns the same in lower case, but thirty times slower; a test
# compares the two.
_PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9_+-]{1,64}(?:\.[A-Za-z0-9_+-]{1,64})*@(?:[A-Za-z0-9]{1,60}(?:-[A-Za-z0-9]{1,60})*\.)+[A-Za-z]{2,60}"
)
_PLAIN_LOCAL_MAX = 64
_PLAIN_DOMAIN_MAX = 63

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_PHONE = re.compile(r"[+＋]?[\d .()/\-\u00a0\u2009\u202f\u3000\u2010-\u2015\u2212]+")
_NO_DIGITS = re.compile(r"\D")
_PHONE_DIGITS = range(3, 21)
_SHORT_CODE_MAX_DIGITS = 6
# Bidirectional marks, zero-width spaces and other invisible characters, which web pages and address books add.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]+")
_SPACES = " \u00a0\u2002\u2003\u2007\u2009\u202f\u3000"

# Numbers with two spellings in E.164, each mapped to its key. Brazil added a ninth digit to mobile numbers, which
# WhatsApp often omits. For calls and messages from abroad, Argentina has a 9 before mobile numbers, and Mexico had a 1.
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

# RFC 5646, section 2.1; babel rejects well-formed tags that it does not know.
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
    """Normalize an email address: lower case, ASCII domain (RFC 5890).

    Args:
        text: at most 254 characters; not trimmed.

    Raises:
        ValueError: the syntax is invalid.
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
    """Remove invisible characters and outer spaces from a typed or pasted address."""
    return (text if text.isascii() else _INVISIBLE.sub("", text)).strip(_SPACES)


def looks_like_phone(text: str) -> bool:
    """Whether the characters and length are possible for a phone number of any country."""
    text = visible(text)
    return (
        len(text) <= PHONE_MAX_CHARACTERS
        and _PHONE.fullmatch(text) is not None
        and len(_NO_DIGITS.sub("", text)) in _PHONE_DIGITS
    )


def is_international(text: str) -> bool:
    """Whether a number has a country code."""
    return visible(text).startswith(("+", "＋"))


def normal_phone(text: str, region: str | None) -> str:
    """Normalize a phone number to E.164.

    Accepts all possible numbers, even if unassigned, such as ``+15551234567``. Rejects extensions: E.164 cannot express
    them, so that a whole company would become one customer. Keeps the spelling of numbers with two spellings;
    ``phone_key`` maps both to one key.

    Args:
        text: at most 40 characters, without invisible ones and outer spaces.
        region: ISO 3166 code of the country of numbers without ``+``; None to reject these.

    Raises:
        ValueError: it is not a possible phone number, or its country code is missing.
    """
    if _E164.fullmatch(text) and _is_plain(text):
        return text
    return _parsed_phone(visible(text), region)


@cache
def _numbering_plan(digits: str) -> tuple[int, re.Pattern[str], frozenset[int]] | None:
    """Return the numbering plan of E.164 numbers that begin with three digits.

    None if there is none.

    Returns:
        How many digits the country code has, a pattern for the beginnings of national numbers that the library may
        change, and the possible lengths of national numbers.
    """
    for length in (1, 2, 3):
        country_code = int(digits[:length])
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(country_code)
        if regions:
            plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(country_code, regions[0])
            if plan is None or plan.general_desc is None:  # the library's types allow it
                return None
            prefix = plan.national_prefix_for_parsing
            return length, re.compile(f"0|{prefix}" if prefix else "0"), frozenset(plan.general_desc.possible_length)
    return None


def _is_plain(number: str) -> bool:
    """Whether a number is possible, and in the form that the library returns.

    The number has the form of E.164. The library takes ten times as long, because it assumes any text. A test compares
    the two.
    """
    plan = _numbering_plan(number[1:4])
    if plan is None:
        return False
    length, changed, lengths = plan
    national_number = number[1 + length :]
    return len(national_number) in lengths and not changed.match(national_number)


@lru_cache(4_096)
def _parsed_phone(text: str, region: str | None) -> str:
    """Normalize a phone number without invisible characters, as ``normal_phone`` does.

    A customer's number comes with each of their messages, and parsing takes as long as the rest of the request.
    """
    if not looks_like_phone(text):
        raise ValueError(phone_fault(text))
    is_complete = is_international(text)
    if (text.startswith("+52") if is_complete else region == "MX") and (mexican := _mexican(text)):
        return mexican
    try:
        number = phonenumbers.parse(text, None if is_complete else region)
    except NumberParseException:
        raise ValueError(INVALID_PHONE) from None
    # Numbers that only work within a town have no E.164 form.
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        raise ValueError(INVALID_PHONE)
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def phone_fault(text: str) -> str:
    """Return the error message for a text that does not look like a phone number."""
    try:
        # The country does not matter to find out whether there is an extension.
        is_extended = len(text) <= PHONE_MAX_CHARACTERS and phonenumbers.parse(text, "US").extension is not None
    except NumberParseException:
        is_extended = False
    return EXTENSION if is_extended else INVALID_PHONE


def provider_phone(text: str, region: str | None) -> str:
    """Normalize a provider's number to E.164; return short codes and names unchanged.

    Providers may omit the ``+`` of E.164 or use the national format of a country. If both readings are valid, the
    national one is taken.

    Args:
        text: a number, short code or name.
        region: ISO 3166 code of the country of the number at the other end; None if unknown.
    """
    if is_international(text):
        readings = [_reading(text, None)]
    elif len(text) <= _SHORT_CODE_MAX_DIGITS:  # in some countries it could also be a number
        readings = []
    else:
        readings = [_reading(text, region), _reading(f"+{text}", None)]
    found = [each for each in readings if each is not None]
    valid = (each for each in found if phonenumbers.is_valid_number(phonenumbers.parse(phone_key(each))))
    # If no reading is valid, take the last: most providers omit only the "+".
    return next(valid, found[-1] if found else text)


def region_of(number: str) -> str | None:
    """Return the ISO 3166 code of an E.164 number's country; None for short codes and names."""
    try:
        region: str | None = phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except NumberParseException:
        return None
    return region


def phone_key(number: str) -> str:
    """Return the key for comparing a number, the same for both of its spellings.

    Args:
        number: in E.164, or a short code.
    """
    if number.startswith(_SPELT_TWICE):
        for spelling, key in _SPELLINGS:
            if match := spelling.fullmatch(number):
                return match.expand(key)
    return number


def phone_spellings(number: str) -> list[str]:
    """Return all E.164 spellings of a number, its key first."""
    key = phone_key(number)
    matches = ((pattern.fullmatch(key), other) for pattern, other in _OTHER_SPELLINGS)
    return [key, *(match.expand(other) for match, other in matches if match)]


def phone_as_shown(key: str, shown: str) -> str:
    """Return the E.164 spelling that a customer used.

    Args:
        key: the number's key.
        shown: the number as first received; without a country code, the key is returned.
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
    """Normalize a Mexican mobile number with a dialling prefix from before 2019.

    The library no longer knows these prefixes. The 1 of international numbers stays, because WhatsApp uses it.
    """
    match = _MEXICAN_DIGITS.fullmatch(re.sub(r"[^+\d]", "", text))
    return f"+52{match[1] or ''}{match[2] or match[3]}" if match else None


@lru_cache(1_024)
def normal_locale(text: str) -> str:
    """Normalize a language tag: ``en_US`` becomes ``en-US`` (RFC 5646, 2.1.1).

    Args:
        text: at most 35 characters; all well-formed tags pass, even unknown ones.

    Raises:
        ValueError: the tag is malformed.
    """
    tag = text.replace("_", "-").lower()
    # Check the original for ASCII: lower() turns the Kelvin sign into a plain k.
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
