"""Hostile URLs, names and name servers cause no connection."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from harness.hostile_urls import hostile_addresses, hostile_urls
from shopbell.safe_http import connector
from shopbell.safe_http.addresses import AllowList, is_denied
from shopbell.safe_http.client import OutboundClient
from shopbell.safe_http.connector import Dial, dial
from shopbell.safe_http.dns import Resolve
from shopbell.safe_http.errors import OutboundFailure, error_class
from shopbell.safe_http.hosts import Address
from shopbell.safe_http.urls import check_url

NOBODY = AllowList()
PUBLIC = "93.184.215.14"
LONG_S = 60


class Listener:
    """Listens on loopback, counts who comes, and sends everybody away."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Listener"]:
        """Listen while the block runs."""
        server = await asyncio.start_server(self._count, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def dial(self, address: Address, port: int) -> socket.socket:
        """The worst network there is: whatever address is dialled, its gateways lead to the listener."""
        return await dial(ip_address("127.0.0.1"), self.port)

    def _count(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.transport.abort()


class Names:
    """A name server that gives these answers, one after the other; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = [tuple(map(ip_address, answer)) for answer in answers]
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def _outcomes(
    urls: Iterable[str], *, allow: AllowList = NOBODY, resolve: Resolve | None = None, dial: Dial = dial
) -> dict[str, str]:
    """What became of a POST to each of these URLs: the failure's name, or the status."""
    outcomes = {}
    async with OutboundClient(allow, resolve=resolve, dial=dial) as client:
        for url in urls:
            try:
                answer = await client.post(url, headers={}, content=b"{}", timeout_s=5, connect_timeout_s=5)
            except OutboundFailure as failure:
                outcomes[url] = error_class(failure)
            else:
                outcomes[url] = str(answer.status)
    return outcomes


async def _connections_by_addresses() -> int:
    """How many connections come about in the worst network to names that have hostile addresses."""
    addresses = {f"name-{number}.example": address for number, address in enumerate(hostile_addresses())}

    async def resolve(host: str, port: int) -> Sequence[Address]:
        return [ip_address(addresses[host])]

    async with Listener().listening() as listener:
        urls = [f"https://{name}:{listener.port}/" for name in addresses]
        await _outcomes(urls, resolve=resolve, dial=listener.dial)
        return listener.connections


def test_there_are_500_hostile_urls_and_none_is_accepted_for_a_webhook() -> None:
    listening_port = 9471
    urls = list(hostile_urls(listening_port))
    assert len(set(urls)) >= 500
    for url in urls:
        with pytest.raises(ValueError, match=r"^must ") as refused:
            check_url(url, NOBODY)
        assert str(listening_port) not in str(refused.value)


def test_no_hostile_url_causes_a_connection() -> None:
    async def connections() -> tuple[int, set[str]]:
        async with Listener().listening() as listener:
            urls = list(hostile_urls(listener.port))
            outcomes = await _outcomes(urls)
            outcomes |= await _outcomes(urls, dial=listener.dial)
            return listener.connections, set(outcomes.values())

    count, outcomes = asyncio.run(connections())
    assert count == 0
    assert outcomes <= {"address_denied", "dns_failed"}  # not every machine knows a.localhost


def test_no_name_with_a_hostile_address_causes_a_connection() -> None:
    assert len(list(hostile_addresses())) >= 300
    assert asyncio.run(_connections_by_addresses()) == 0


def test_control_a_naive_check_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "is_denied", lambda address: not address.is_global)
    assert asyncio.run(_connections_by_addresses()) > 0


def test_control_a_public_address_is_contacted() -> None:
    """Or the tests above would pass for want of a network."""

    async def connections() -> int:
        async with Listener().listening() as listener:
            await _outcomes([f"https://shop.example:{listener.port}/"], resolve=Names([PUBLIC]), dial=listener.dial)
            async with asyncio.timeout(LONG_S):
                while not listener.connections:  # noqa: ASYNC110 - who was let in may have gone before he is counted
                    await asyncio.sleep(0.01)
            return listener.connections

    assert asyncio.run(connections()) == 1


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "ip6-localhost", socket.gethostname()])
def test_names_of_this_machine_are_refused_by_their_resolved_addresses(host: str) -> None:
    async def outcome() -> tuple[int, set[str]]:
        async with Listener().listening() as listener:
            outcomes = await _outcomes([f"https://{host}:{listener.port}/"])
            return listener.connections, set(outcomes.values())

    connections, outcomes = asyncio.run(outcome())
    assert connections == 0
    assert outcomes <= {"address_denied", "dns_failed"}


def test_a_name_is_resolved_once_to_prevent_dns_rebinding() -> None:
    async def connections() -> tuple[int, int, list[str]]:
        async with Listener().listening() as listener:
            names, dialled = Names([PUBLIC], ["127.0.0.1"]), []

            async def dial_and_tell(address: Address, port: int) -> socket.socket:
                dialled.append(str(address))
                if str(address) == PUBLIC:
                    raise ConnectionRefusedError
                return await dial(address, port)

            url = f"https://rebinding.example:{listener.port}/"
            first = await _outcomes([url], resolve=names, dial=dial_and_tell)
            assert (first[url], names.asked) == ("connect_refused", 1)
            second = await _outcomes([url], resolve=names, dial=dial_and_tell)
            assert second[url] == "address_denied"
            return listener.connections, names.asked, dialled

    assert asyncio.run(connections()) == (0, 2, [PUBLIC])


@pytest.mark.parametrize(
    "answer", [[PUBLIC, "127.0.0.1"], ["127.0.0.1", PUBLIC], [PUBLIC, "::1"], [PUBLIC, "2a00::1", "64:ff9b::7f00:1"]]
)
def test_one_private_address_among_public_ones_refuses_a_name(answer: list[str]) -> None:
    async def outcome() -> tuple[int, set[str]]:
        async with Listener().listening() as listener:
            url = f"https://mixed.example:{listener.port}/"
            outcomes = await _outcomes([url], resolve=Names(answer), dial=listener.dial)
            return listener.connections, set(outcomes.values())

    assert asyncio.run(outcome()) == (0, {"address_denied"})


def test_a_connection_to_another_address_than_checked_is_closed() -> None:
    async def outcome() -> set[str]:
        async with Listener().listening() as listener:
            url = f"https://shop.example:{listener.port}/"
            return set((await _outcomes([url], resolve=Names([PUBLIC]), dial=listener.dial)).values())

    assert asyncio.run(outcome()) == {"address_denied"}


def test_a_public_address_is_not_contacted_over_plain_http() -> None:
    async def outcome() -> tuple[int, set[str]]:
        async with Listener().listening() as listener:
            url = f"http://shop.example:{listener.port}/"
            outcomes = await _outcomes([url], resolve=Names([PUBLIC]), dial=listener.dial)
            return listener.connections, set(outcomes.values())

    assert asyncio.run(outcome()) == (0, {"address_denied"})


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "1.1.1.1", "172.32.0.1", "2a00::1", "2606:4700::1111", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert not is_denied(ip_address(address))
