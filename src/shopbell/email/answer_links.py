"""Create and check the link in emails to a business that opens the conversation.

Anyone with the link can read the conversation and reply. It therefore grants more than the reply address in the same
email, which accepts replies from authenticated senders only. So the link expires; it works only while the conversation
belongs to the same business and that business is notified at the same address; and it is removed from email replies.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from urllib.parse import unquote

from shopbell.email import unsubscribe
from shopbell.email.signed_ids import SignedIds
from shopbell.formats.identities import normal_email
from shopbell.security.keys import Keys

PATH = "/answer/"
"""The path of the link, followed by the token."""

VALID_S = 14 * 24 * 60 * 60
_KIND = 1
_DIGEST_BYTES = 6
_PURPOSE = "store's answer link"
_LETTERS = re.compile(r"[a-z2-7]+", re.ASCII | re.IGNORECASE)
# An email program may have wrapped a long link and marked each of its lines as quoted.
_LINES = re.compile(rf"{_LETTERS.pattern}(?:[ \t]*\n[>| \t]*{_LETTERS.pattern})*", _LETTERS.flags)
# The three lengths of a token in an email to a business. Its kind is a small number, so it begins with "a".
_TOKENS = re.compile(r"(?=(a[a-z2-7]{49})([a-z2-7]{11})?([a-z2-7]{23})?)", re.ASCII | re.IGNORECASE)
_TOKEN_CHARACTERS = 50
_LOOKS_MAX = 200
_ENDS = ' \t\n<>"'
_REST = re.compile(f"[^{_ENDS}]*")
_SCHEME = re.compile(r"https?:", re.ASCII | re.IGNORECASE)
# A customer's link is recognized by its form: its token is random, and only a hash of it is stored.
_CUSTOMERS = re.compile(r"(?:/|_|%(?:25)*2f)t(?:/|_|%(?:25)*2f)[a-z0-9]{43}(?![a-z0-9])", re.ASCII | re.IGNORECASE)
_BASE64 = re.compile(r"(?<==)[a-z0-9+/_%-]{60,}", re.ASCII | re.IGNORECASE)
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class AnswerTarget:
    """The conversation that a link opens.

    Args:
        business_id: the business that received the email.
        address_digest: the ``digest`` of the address that the email went to.
    """

    organization_id: int
    thread_id: int
    business_id: int
    address_digest: int


class AnswerLinks:
    """Signs and verifies links.

    Args:
        keys: the installation's keys. Links signed with the previous key remain valid.
    """

    def __init__(self, keys: Keys) -> None:
        self._signed = SignedIds(keys, _PURPOSE)

    def link(self, base_url: str, answering: AnswerTarget, *, now_s: int) -> str:
        """Create a link.

        Args:
            base_url: the URL of this server, without a trailing slash.
            answering: the conversation that it opens.
            now_s: the current time in Unix seconds; the link expires 14 days later.
        """
        token = self._signed.sign(
            _KIND,
            *(answering.organization_id, answering.thread_id, answering.business_id, answering.address_digest),
            now_s + VALID_S,
        )
        return f"{base_url}{PATH}{token}"

    def parse(self, token: str, *, now_s: int) -> AnswerTarget | None:
        """Verify an untrusted token and return the conversation that it opens.

        Returns:
            None if the token is invalid or has expired.
        """
        content = self._signed.read(token)
        if content is None or len(content) != 6:
            return None
        kind, organization_id, thread_id, business_id, digest, ends_s = content
        is_good = kind == _KIND and now_s < ends_s
        return AnswerTarget(organization_id, thread_id, business_id, digest) if is_good else None


def digest(address: str) -> int:
    """Return a 48-bit hash of an email address."""
    return int.from_bytes(sha256(normal_email(address).encode()).digest()[:_DIGEST_BYTES])


class LinkRemover:
    """Removes the links of our emails from replies that quote them.

    A quoted link of the business would otherwise reach the customer. A customer's link would reach everyone who may
    read the conversation but not write in it.

    Links to a business are recognized by their signed token, not by their form: many email servers rewrite links to
    point to a security gateway and encode the original URL in the new one.
    """

    def __init__(self, keys: Keys) -> None:
        self._signed = (SignedIds(keys, _PURPOSE), SignedIds(keys, unsubscribe.PURPOSE))

    def cut(self, text: str) -> str:
        """Return a text in which "[…]" replaces each link.

        Args:
            text: the reply; its line breaks must be ``\\n``.
        """
        looks = count()
        customers = (found.span() for found in _CUSTOMERS.finditer(text))
        places = sorted((*self._places(text, looks), *self._places_in_base64(text, looks), *customers))
        parts, end = [], 0
        for token_begin, token_end in places:
            if token_end <= end:
                continue
            parts += [text[end : _beginning(text, end, token_begin)], "[…]"]
            rest = _REST.match(text, token_end)
            end = rest.end() if rest else token_end
        return "".join((*parts, text[end:]))

    def _places(self, text: str, looks: Iterator[int]) -> Iterator[tuple[int, int]]:
        """Yield the positions at which our tokens begin and end."""
        for found in _LINES.finditer(text):
            if found.end() - found.start() < _TOKEN_CHARACTERS:
                continue
            places = [at for piece in _LETTERS.finditer(text, *found.span()) for at in range(*piece.span())]
            for token in _TOKENS.finditer("".join(text[at] for at in places)):
                if next(looks) >= _LOOKS_MAX:  # too many for a real reply: remove everything that may be a token
                    yield found.span()
                    break
                longer = token[1] + (token[2] or "")
                for candidate in (longer + (token[3] or ""), longer, token[1]):
                    if any(signed.read(candidate) for signed in self._signed):
                        yield places[token.start()], places[token.start() + len(candidate) - 1] + 1
                        break

    def _places_in_base64(self, text: str, looks: Iterator[int]) -> Iterator[tuple[int, int]]:
        for found in _BASE64.finditer(text):
            content = _NO_BASE64.sub("", unquote(found[0]).replace("-", "+").replace("_", "/"))
            whole = content + "A" * (-len(content) % 4)
            if any(self._places(b64decode(whole).decode("latin-1"), looks)):
                yield found.span()


def _beginning(text: str, begin: int, token_begin: int) -> int:
    """Return where the link around a token begins: at its scheme, or after whitespace."""
    at = max(begin, *(text.rfind(end, begin, token_begin) + 1 for end in _ENDS))
    scheme = _SCHEME.search(text, at, token_begin)
    return at if scheme is None else scheme.start()
