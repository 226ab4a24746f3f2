"""Read the receiving server's SPF, DKIM and DMARC results (RFC 8601)."""

import re
from dataclasses import dataclass

from shopbell.email.mime import Part

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
    """Results in RFC 8601 terms such as ``pass``; None if the server reports none."""

    spf: str | None = None
    spf_domain: str | None = None
    dkim: str | None = None
    dkim_domain: str | None = None
    dmarc: str | None = None
    dmarc_domain: str | None = None

    @property
    def is_aligned(self) -> bool:
        """Whether DMARC passed, which authenticates the domain in From."""
        return self.dmarc == "pass"

    def proves(self, sender: str) -> bool:
        """Return whether DMARC, or SPF for exactly this domain, authenticates an address.

        The server may have read another address in a malformed From field, so the domain that it reports must match.

        Args:
            sender: the normalized address in From.
        """
        domain = sender.rpartition("@")[2]
        if self.is_aligned and (self.dmarc_domain is None or f".{domain}".endswith(f".{self.dmarc_domain}")):
            return True
        return self.spf == "pass" and self.spf_domain == domain


def authentication_of(email: Part, authserv_id: str | None) -> Authentication | None:
    """Read the results of the receiving server.

    Only the topmost field counts, and only if that server added it. The sender may have forged every field below it,
    even below a field that another server of the same site added.

    Args:
        email: the whole email.
        authserv_id: the receiving server's name in the field; None if no server is trusted.

    Returns:
        None if there is no such field.
    """
    if authserv_id is None:
        return None
    topmost = email.first("authentication-results")
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
        # One valid DKIM signature is enough, whatever other signatures the email has. SPF and DMARC have one result
        # each: if there are two, the better one may be forged.
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
    """Remove comments, and replace quoted strings other than plain words.

    The sender chooses the address that the server repeats here. It may be ``"a; dmarc=pass"@evil.example`` or
    ``"alice@acme.example"@evil.example``. An unclosed quoted string or comment is dropped.
    """
    kept: list[str] = []
    begin = depth = 0  # start of the text to keep next; nesting of comments
    is_quoted = is_escaped = False
    for place, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif character == "\\" and (is_quoted or depth):
            is_escaped = True
        elif character == '"':  # also in comments: servers repeat addresses there
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
