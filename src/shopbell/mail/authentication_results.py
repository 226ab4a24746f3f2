"""What the receiving server found out about a mail's sender: SPF, DKIM and DMARC (RFC 8601). Pure."""

import re
from dataclasses import dataclass

from shopbell.mail.structure import Part

_COMMENT = re.compile(r"\([^()]*\)")
_RESULT = re.compile(r"\s*(spf|dkim|dmarc)(?:/1)?\s*=\s*([a-z]{1,20})\b(.*)", re.IGNORECASE | re.DOTALL)
_DKIM_DOMAIN = re.compile(r"\bheader\.(?:d|i)\s*=\s*\"?@?([A-Za-z0-9.-]{1,253})", re.IGNORECASE)
_SPF_DOMAIN = re.compile(r"\bsmtp\.(?:mailfrom|helo)\s*=\s*\"?(?:[^@\s;\"]*@)?([A-Za-z0-9.-]{1,253})", re.IGNORECASE)
_RESULTS = frozenset(
    ("pass", "fail", "softfail", "neutral", "none", "temperror", "permerror", "policy", "bestguesspass")
)
_RESULTS_MAX = 50
_COMMENTS_NESTED_MAX = 5


@dataclass(frozen=True, slots=True)
class Authentication:
    """Each is ``pass``, ``fail``, ``none``, … as RFC 8601 names them, or None when the server says nothing of it."""

    spf: str | None = None
    spf_domain: str | None = None
    dkim: str | None = None
    dkim_domain: str | None = None
    dmarc: str | None = None

    @property
    def is_aligned(self) -> bool:
        """Whether the address in From is proved: DMARC passed."""
        return self.dmarc == "pass"


def authentication_of(mail: Part, authserv_id: str | None) -> Authentication | None:
    """What the receiving server says.

    Only its topmost field counts: whatever stands below may have come with the mail. The server must take out what
    others wrote in its name, as those that write such fields do by themselves.

    Args:
        mail: the whole.
        authserv_id: the receiving server's name in that field; None when nobody's word counts.

    Returns:
        None when there is none of it.
    """
    if authserv_id is None:
        return None
    for value in mail.all("authentication-results"):
        text = _without_comments(value.decode("ascii", "replace"))
        name, _, results = text.partition(";")
        if name.strip().split(" ")[0].strip('"').lower() == authserv_id.lower():
            return _read(results)
    return None


def _read(results: str) -> Authentication:
    found: dict[str, tuple[str, str]] = {}
    for each in results.split(";", _RESULTS_MAX)[:_RESULTS_MAX]:
        result = _RESULT.match(each)
        if result is None or result[2].lower() not in _RESULTS:
            continue
        method = result[1].lower()
        # One signature that is good is enough, whichever else the mail bears.
        if method not in found or (method == "dkim" and found[method][0] != "pass"):
            found[method] = (result[2].lower(), result[3])
    return Authentication(
        spf=found["spf"][0] if "spf" in found else None,
        spf_domain=_domain(_SPF_DOMAIN, found.get("spf")),
        dkim=found["dkim"][0] if "dkim" in found else None,
        dkim_domain=_domain(_DKIM_DOMAIN, found.get("dkim")),
        dmarc=found["dmarc"][0] if "dmarc" in found else None,
    )


def _domain(pattern: re.Pattern[str], found: tuple[str, str] | None) -> str | None:
    match = pattern.search(found[1]) if found else None
    return match[1].lower().rstrip(".") if match else None


def _without_comments(text: str) -> str:
    for _ in range(_COMMENTS_NESTED_MAX):
        shorter = _COMMENT.sub(" ", text)
        if shorter == text:
            break
        text = shorter
    return text
