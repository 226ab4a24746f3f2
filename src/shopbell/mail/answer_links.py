"""The link in mails to a store that opens the conversation: whoever has it reads what was said, and answers.

It is worth more than the reply address in the same mail, which takes an answer from proved senders only. So it ends, it
is good only while the conversation belongs to the same business and that is mailed at the same address, and it is taken
out of what the store answers by mail.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from urllib.parse import unquote

from shopbell.identity import normal_email
from shopbell.keys import Keys
from shopbell.mail import unsubscribe
from shopbell.mail.signed_ids import SignedIds

PATH = "/answer/"
"""What the link's path begins with; the token follows."""

VALID_S = 14 * 24 * 60 * 60
_KIND = 1
_DIGEST_BYTES = 6
_PURPOSE = "store's answer link"
_LETTERS = re.compile(r"[a-z2-7]+", re.ASCII | re.IGNORECASE)
# A program may have broken a long link, and marked each of its lines as quoted.
_LINES = re.compile(rf"{_LETTERS.pattern}(?:[ \t]*\n[>| \t]*{_LETTERS.pattern})*", _LETTERS.flags)
# The three lengths that a token of a mail to a store has. Its kind is a small number: the first letter says so.
_TOKENS = re.compile(r"(?=(a[a-z2-7]{49})([a-z2-7]{11})?([a-z2-7]{23})?)", re.ASCII | re.IGNORECASE)
_TOKEN_CHARACTERS = 50
_LOOKS_MAX = 200
_ENDS = ' \t\n<>"'
_REST = re.compile(f"[^{_ENDS}]*")
_SCHEME = re.compile(r"https?:", re.ASCII | re.IGNORECASE)
# A customer's link is known by its look: its token is random, and nothing of it is kept but a hash.
_CUSTOMERS = re.compile(r"(?:/|_|%(?:25)*2f)t(?:/|_|%(?:25)*2f)[a-z0-9]{43}(?![a-z0-9])", re.ASCII | re.IGNORECASE)
_BASE64 = re.compile(r"(?<==)[a-z0-9+/_%-]{60,}", re.ASCII | re.IGNORECASE)
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answering:
    """The conversation that a link opens.

    Args:
        organization_id: whose it is.
        thread_id: which.
        business_id: the business that was mailed.
        address_digest: of the address that it was mailed at.
    """

    organization_id: int
    thread_id: int
    business_id: int
    address_digest: int


class AnswerLinks:
    """Makes links, and knows its own again.

    Args:
        keys: the installation's keys; links that were signed with the former one are still good.
    """

    def __init__(self, keys: Keys) -> None:
        self._signed = SignedIds(keys, _PURPOSE)

    def link(self, base_url: str, answering: Answering, *, now_s: int) -> str:
        """Make a link.

        Args:
            base_url: how this server is reached, without a slash at the end.
            answering: what it opens.
            now_s: the time in Unix s; it is good for 14 days from then on.
        """
        token = self._signed.sign(
            _KIND,
            *(answering.organization_id, answering.thread_id, answering.business_id, answering.address_digest),
            now_s + VALID_S,
        )
        return f"{base_url}{PATH}{token}"

    def parse(self, token: str, *, now_s: int) -> Answering | None:
        """What a link's token opens. It may be whatever a stranger sent.

        Returns:
            None when it is not one of ours, or is over.
        """
        content = self._signed.read(token)
        if content is None or len(content) != 6:
            return None
        kind, organization_id, thread_id, business_id, digest, ends_s = content
        is_good = kind == _KIND and now_s < ends_s
        return Answering(organization_id, thread_id, business_id, digest) if is_good else None


def digest(address: str) -> int:
    """A number that stands for a mail address, below 2^48."""
    return int.from_bytes(sha256(normal_email(address).encode()).digest()[:_DIGEST_BYTES])


class LinkCutter:
    """Takes the links that our mails bear out of what is answered to them. Quoted, those of a store would go on to the
    customer, and a customer's to whoever may read his conversation, but may not write in it.

    A store's are known by what we have signed, and not by their look: the mail servers of many stores have links go by
    a gateway of theirs, and write ours in some other way into one of its own.

    Args:
        keys: the installation's keys.
    """

    def __init__(self, keys: Keys) -> None:
        self._signed = (SignedIds(keys, _PURPOSE), SignedIds(keys, unsubscribe.PURPOSE))

    def cut(self, text: str) -> str:
        """A text without them.

        Args:
            text: what was answered, with line breaks of one character.
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
        """Where our tokens begin and end."""
        for found in _LINES.finditer(text):
            if found.end() - found.start() < _TOKEN_CHARACTERS:
                continue
            places = [at for piece in _LETTERS.finditer(text, *found.span()) for at in range(*piece.span())]
            for token in _TOKENS.finditer("".join(text[at] for at in places)):
                if next(looks) >= _LOOKS_MAX:  # nobody's answer: all goes that may be one
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
    """Where the link begins that a token is in: its scheme, or what is behind the blank before it."""
    at = max(begin, *(text.rfind(end, begin, token_begin) + 1 for end in _ENDS))
    scheme = _SCHEME.search(text, at, token_begin)
    return at if scheme is None else scheme.start()
