"""NATS can be absent, silent or hostile."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from harness.nats import Nats
from harness.ports import free_port
from shopbell.errors import SettingsError
from shopbell.realtime import nats as by_nats
from shopbell.realtime import relay as relays
from shopbell.realtime.hub import PubSub, create_relay
from shopbell.realtime.nats import nats_relay, parse_nats_url
from shopbell.realtime.relay import MOST_IDS
from shopbell.settings.settings import Settings

ACME = 1
SECRET = "very-secret"
LONG_S = 20


@pytest.fixture
def patient_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who starts waits for the first try to end, which a server does for a second only."""
    monkeypatch.setattr(relays, "START_TIMEOUT_S", 3 * LONG_S)


def run(test: Callable[[], Awaitable[None]]) -> list[MutableMapping[str, Any]]:
    """Run a test, and notice all that it left open; returns what was logged."""
    with capture_logs() as lines:
        asyncio.run(test())  # type: ignore[arg-type]
    gc.collect()
    return lines


def test_a_server_starts_without_nats_and_connects_later(patient_start: None, tmp_path: Path) -> None:
    nats = Nats(tmp_path)
    nats.port = free_port()

    async def test() -> None:
        here, there = PubSub(nats_relay(nats.url)), PubSub(nats_relay(nats.url))
        began_s = time.monotonic()
        await here.start()
        await there.start()
        assert time.monotonic() - began_s < 2 * LONG_S
        with here.listen(ACME) as near, there.listen(ACME) as far:
            here.publish([ACME])
            assert await near.wait(0)
            assert not await far.wait(0)
            await asyncio.to_thread(nats.start)
            assert await far.wait(LONG_S)
        await here.close()
        await there.close()

    lines = run(test)
    nats.stop()
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "disconnected from the other processes; polling continues",
        "disconnected from the other processes; polling continues",
    ]
    assert nats.password not in repr(lines)


def test_the_queue_of_a_lost_connection_is_bounded() -> None:
    async def test() -> None:
        relay = nats_relay(f"nats://127.0.0.1:{free_port()}")
        await relay.start(lambda _: None)
        for organization_id in range(10 * MOST_IDS):
            relay.publish([organization_id])
        assert len(relay._pending) <= MOST_IDS
        assert relay._take().endswith(" *")
        await relay.close()

    run(test)


def test_a_wrong_password_is_logged_without_its_value(patient_start: None, own_nats: Nats) -> None:
    async def test() -> None:
        pubsub = PubSub(nats_relay(f"nats://alice:{SECRET}@127.0.0.1:{own_nats.port}"))
        await pubsub.start()
        pubsub.publish([ACME])
        await pubsub.close()

    (line,) = run(test)
    assert line["log_level"] == "warning"
    assert SECRET not in repr(line)


@asynccontextmanager
async def _one_who_says(greeting: bytes) -> AsyncIterator[tuple[int, bytearray]]:
    """A server that only says this; gives its port, and what it hears."""
    heard = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while data := await reader.read(1_000):
            heard.extend(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


@pytest.mark.parametrize("greeting", [b"", b"INFO {", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"INFO {}\r\n" * 3])
def test_a_server_that_is_not_nats_does_not_delay_the_start(greeting: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_nats, "CONNECT_TIMEOUT_S", 3 * LONG_S)

    async def test() -> None:
        async with _one_who_says(greeting) as (port, _):
            pubsub = PubSub(nats_relay(f"nats://127.0.0.1:{port}"))
            began_s = time.monotonic()
            await pubsub.start()
            assert time.monotonic() - began_s < 2 * LONG_S
            with pubsub.listen(ACME) as listener:
                pubsub.publish([ACME])
                assert await listener.wait(0)
            await pubsub.close()

    run(test)


@pytest.mark.parametrize("userinfo", [f"alice:{SECRET}", SECRET])
def test_no_password_is_sent_unencrypted_when_tls_is_required(userinfo: str) -> None:
    """An attacker in the network removes the server's offer of TLS."""

    async def test() -> None:
        async with _one_who_says(b'INFO {"auth_required":true}\r\n') as (port, heard):
            for scheme in ("tls", "nats"):
                pubsub = PubSub(nats_relay(f"{scheme}://{userinfo}@127.0.0.1:{port}"))
                await pubsub.start()
                await pubsub.close()
                # The second is the control: there, TLS was not required.
                assert (SECRET.encode() in heard) is (scheme == "nats")

    run(test)


@pytest.mark.parametrize("trusted", [True, False])
def test_tls_is_used_only_with_a_trusted_server(
    patient_start: None, trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = _self_signed(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    nats = Nats(tmp_path, "--tls", "--tlscert", str(certificate), "--tlskey", str(key))
    nats.start()

    async def test() -> None:
        relay = nats_relay(nats.url.replace("nats:", "tls:"))
        await relay.start(lambda _: None)
        await relay.close()

    lines = run(test)
    nats.stop()
    expected = (
        "connected to the other processes" if trusted else "disconnected from the other processes; polling continues"
    )
    assert [line["event"] for line in lines] == [expected]


def _self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wakes")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.mark.parametrize(
    "url", ["", "nats", "nats://", "http://127.0.0.1:4222", "nats://127.0.0.1:port", "nats://[::1", "ws://127.0.0.1:80"]
)
def test_an_invalid_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        nats_relay(url.replace("127.", f"alice:{SECRET}@127."))
    assert "SHOPBELL_NATS_URL" in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_url_is_shown_without_its_secrets() -> None:
    address = parse_nats_url(f"tls://alice:{SECRET}@[::1]")
    assert str(address) == "tls://[::1]:4222"
    assert (address.user, address.password, address.token) == ("alice", SECRET, "")
    assert SECRET not in f"{address} {address!r}"
    assert parse_nats_url("nats://t%2Fk@127.0.0.1:1").token == "t/k"


def test_the_settings_select_the_transport() -> None:
    """NATS where it is named, NOTIFY on PostgreSQL, and nothing on SQLite, where other processes poll."""
    named = Settings(nats_url="nats://127.0.0.1:4222")  # type: ignore[arg-type]
    plain = Settings()
    ways = [create_relay(named, None), create_relay(named, "host=127.0.0.1"), create_relay(plain, "host=127.0.0.1")]
    assert [relay._way for relay in ways if relay is not None] == ["NATS", "NATS", "NOTIFY"]
    assert create_relay(plain, None) is None
