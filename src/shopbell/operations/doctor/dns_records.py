"""Look up DNS records, and tell a name without records from a name server that does not answer."""

from collections.abc import Sequence
from typing import Literal

import dns.asyncresolver
import dns.exception
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

TIMEOUT_S = 10.0
"""The time that one lookup may take, with all repetitions."""

Kind = Literal["A", "AAAA", "MX", "TXT"]


class Unanswered(Exception):
    """No name server answered: nothing is known about the name."""


class DnsRecords:
    """Looks up records.

    Args:
        nameserver: address and port of the name server; None for those of the system.
        timeout_s: the time that one lookup may take.
    """

    def __init__(self, nameserver: tuple[str, int] | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._nameserver = nameserver
        self._timeout_s = timeout_s

    async def find(self, name: str, kind: Kind) -> list[str] | None:
        """Find the records of one kind.

        Args:
            name: an ASCII name without a trailing dot.

        Returns:
            The records as they are in a zone file, TXT records without quotes and joined; empty if the name has none.
            None if the name does not exist, and no name below it.

        Raises:
            Unanswered: no name server answered in time.
        """
        try:
            resolver = dns.asyncresolver.Resolver(configure=self._nameserver is None)
            if self._nameserver is not None:
                resolver.nameservers, resolver.port = [self._nameserver[0]], self._nameserver[1]
            answer = await resolver.resolve(
                f"{name}.", kind, raise_on_no_answer=False, lifetime=self._timeout_s, search=False
            )
        except dns.resolver.NXDOMAIN:
            return None
        except (dns.exception.DNSException, OSError):
            raise Unanswered from None
        return [_text(record) for record in answer.rrset or ()]

    async def find_addresses(self, name: str) -> list[str]:
        """Find the IPv4 and IPv6 addresses of a name.

        Raises:
            Unanswered: no name server answered in time.
        """
        return [*(await self.find(name, "A") or ()), *(await self.find(name, "AAAA") or ())]


def mail_servers(records: Sequence[str]) -> list[str]:
    """Return the names in MX records, the preferred one first; an empty name means that no email is accepted."""
    pairs = (record.split(" ", 1) for record in records)
    return [name.removesuffix(".") for _, name in sorted((int(priority), name) for priority, name in pairs)]


def _text(record: object) -> str:
    if isinstance(record, TXT):
        return b"".join(record.strings).decode("utf-8", "replace")
    if isinstance(record, MX):
        return f"{record.preference} {record.exchange}"
    return str(record)
