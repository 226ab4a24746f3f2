"""A real DNS server on loopback, with the records that a test gives it."""

import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rcode import Rcode

HOST = "127.0.0.1"


@dataclass
class NameServer:
    """Answers over UDP while the block runs.

    A name that has no records, but names below it, exists. Any other name without records does not.

    Args:
        records: by name and kind, such as ``("acme.example", "MX")``, as in a zone file.
        failure: answers each query with this error.
        queries: the names and kinds that were asked for.
    """

    records: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    failure: Rcode | None = None
    queries: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._socket.getsockname()
        return host, port

    def _serve(self) -> None:
        while True:
            data, sender = self._socket.recvfrom(65_535)
            if not data:
                return
            self._socket.sendto(self._answer(dns.message.from_wire(data)).to_wire(), sender)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        (question,) = query.question
        name, kind = str(question.name).removesuffix(".").lower(), dns.rdatatype.to_text(question.rdtype)
        self.queries.append((name, kind))
        if self.failure is not None:
            response.set_rcode(self.failure)
        elif found := self.records.get((name, kind)):
            response.answer = [dns.rrset.from_text(question.name, 60, "IN", kind, *found)]
        elif not any(each == name or each.endswith(f".{name}") for each, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response
