"""What the receiving server found out about a mail's sender: SPF, DKIM and DMARC (RFC 8601). Pure."""

import re
from dataclasses import dataclass

from shopbell.mail.structure import Part

_PLAIN = re.compile(r"[A-Za-z0-9._-]*", re.ASCII)
_RESULT = re.compile(r"\s*(spf|dkim|dmarc)(?:/1)?\s*=\s*([a-z]{1,20})\b(.*)", re.IGNORECASE | re.DOTALL)
_DKIM_DOMAIN = re.compile(r"\bheader\.(?:d|i)\s*=\s*\"?@?([A-Za-z0-9.-]{1,253})", re.IGNORECASE)
_SPF_DOMAIN = re.compile(r"\bsmtp\.(?:mailfrom|helo)\s*=\s*\"?(?:[^@\s;\"]*@)?([A-Za-z0-9.-]{1,253})", re.IGNORECASE)
_DMARC_DOMAIN = re.compile(r"\bheader\.from\s*=\s*\"?(?:[^@\s;\"]*@)?([A-Za-z0-9.-]{1,253})", re.IGNORECASE)
_RESULTS = frozenset(
    ("pass", "fail", "softfail", "neutral", "none", "temperror", "permerror", "policy", "bestguesspass")
)
_RESULTS_MAX = 50


@dataclass(frozen=True, slots=True)
class Authentication:
    """Each is ``pass``, ``fail``, ``none``, … as RFC 8601 names them, or None when the server says nothing of it."""

    spf: str | None = None
    spf_domain: str | None = None
    dkim: str | None = None
    dkim_domain: str | None = None
    dmarc: str | None = None
    dmarc_domain: str | None = None

    @property
    def is_aligned(self) -> bool:
        """Whether the domain in From is proved: DMARC passed."""
        return self.dmarc == "pass"

    def proves(self, sender: str) -> bool:
        """Whether an address in From is proved: by DMARC, or by SPF for its very domain.

        The server may have read another address in a field that is written wrongly: what it names counts.

        Args:
            sender: the address in normal form.
        """
        domain = sender.rpartition("@")[2]
        if self.is_aligned and (self.dmarc_domain is None or f".{domain}".endswith(f".{self.dmarc_domain}")):
            return True
        return self.spf == "pass" and self.spf_domain == domain


def authentication_of(mail: Part, authserv_id: str | None) -> Authentication | None:
    """What the receiving server says.

    Only the topmost field counts, and only if it is the server's: whatever stands below may have come with the mail,
    also below what another server of the same site has added.

    Args:
        mail: the whole.
        authserv_id: the receiving server's name in that field; None when nobody's word counts.

    Returns:
        None when it says nothing there.
    """
    if authserv_id is None:
        return None
    topmost = mail.first("authentication-results")
    if topmost is None:
        return None
    name, _, results = _bare(topmost.decode("ascii", "replace")).partition(";")
    if name.strip().split(" ")[0].strip('"').lower() != authserv_id.lower():
        return None
    return _read(results)


def _read(results: str) -> Authentication:
    found: dict[str, tuple[str, str]] = {}
    for each in results.split(";", _RESULTS_MAX)[:_RESULTS_MAX]:
        result = _RESULT.match(each)
        if result is None or result[2].lower() not in _RESULTS:
            continue
        method = result[1].lower()
        said = result[2].lower()
        # One signature that is good is enough, whichever else the mail bears. Of the others there is one result each:
        # where there are two, somebody else may have written the better one.
        counts = found.get(method, ("",))[0] != "pass" if method == "dkim" else said != "pass"
        if method not in found or counts:
            found[method] = (said, result[3])
    return Authentication(
        spf=found["spf"][0] if "spf" in found else None,
        spf_domain=_domain(_SPF_DOMAIN, found.get("spf")),
        dkim=found["dkim"][0] if "dkim" in found else None,
        dkim_domain=_domain(_DKIM_DOMAIN, found.get("dkim")),
        dmarc=found["dmarc"][0] if "dmarc" in found else None,
        dmarc_domain=_domain(_DMARC_DOMAIN, found.get("dmarc")),
    )


def _domain(pattern: re.Pattern[str], found: tuple[str, str] | None) -> str | None:
    match = pattern.search(found[1]) if found else None
    return match[1].lower().rstrip(".") if match else None


def _bare(text: str) -> str:
    """A field without its comments, and without what stands between quotes unless that is a plain word.

    Whoever sends a mail chooses the address that the server repeats here: ``"a; dmarc=pass"@evil.example`` is one, and
    so is ``"alice@acme.example"@evil.example``. Of a quote or a comment that does not end nothing counts.
    """
    kept: list[str] = []
    begin = depth = 0  # of what is kept next; of comments within comments
    is_quoted = is_escaped = False
    for place, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif character == "\\" and (is_quoted or depth):
            is_escaped = True
        elif character == '"':  # in comments, too: servers repeat addresses there
            if not depth:
                said = text[begin:place]
                kept.append(said if not is_quoted or _PLAIN.fullmatch(said) else "_")
                begin = place + 1
            is_quoted = not is_quoted
        elif character == "(" and not is_quoted:
            if not depth:
                kept.append(text[begin:place])
            depth += 1
        elif character == ")" and depth and not is_quoted:
            depth -= 1
            if not depth:
                kept.append(" ")
                begin = place + 1
    return "".join(kept) + ("" if is_quoted or depth else text[begin:])
