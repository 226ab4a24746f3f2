"""WhatsApp contacts are fetched from Twilio only, within a deadline."""

import asyncio
from collections.abc import Iterator

import pytest
import structlog

from harness.media_host import MediaHost, media_host
from harness.twilio import SID, TOKEN, WHATSAPP, FakeTwilio, fake_twilio
from shopbell.channels.sms import twilio_media
from shopbell.channels.sms.twilio_media import FILE_MAX_BYTES, TwilioMedia
from shopbell.safe_http.addresses import AllowList
from shopbell.sms.inbound import InboundMedia, InboundText
from shopbell.sms.outgoing import TextChannel

CAROL = "+16175550100"
VCARD = (
    b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Carol Jones\r\nTEL:+1 617 555 0100\r\nEMAIL:carol@example.com\r\nEND:VCARD\r\n"
)
SHOWN = "Contact: Carol Jones\n+1 617 555 0100\ncarol@example.com"
LONG_S = 60.0
SHORT_S = 0.3


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    """A Twilio on loopback."""
    with fake_twilio() as fake:
        yield fake


@pytest.fixture
def host() -> Iterator[MediaHost]:
    """The host that Twilio redirects to."""
    with media_host() as media:
        yield media


def message(*urls: str, content_type: str = "text/vcard", channel: TextChannel = "WHATSAPP") -> InboundText:
    """A message with files."""
    media = [InboundMedia(url, content_type) for url in urls]
    return InboundText("MM1", channel, CAROL, WHATSAPP, "Call them", media)


def show(
    twilio: FakeTwilio, host: MediaHost, text: InboundText, *, timeout_s: float = LONG_S, allows: bool = True
) -> InboundText:
    """What becomes of a message."""

    async def run() -> InboundText:
        media = TwilioMedia(
            f"{twilio.url}/",
            account_sid=SID,
            auth_token=TOKEN,
            allow=AllowList.parse(host.place if allows else ""),
            connect_timeout_s=LONG_S,
            dns_timeout_s=LONG_S,
            timeout_s=timeout_s,
        )
        try:
            return await media.show_contacts(text)
        finally:
            await media.close()

    return asyncio.run(run())


@pytest.mark.parametrize("content_type", ["text/vcard", "text/x-vcard", "Text/Directory; charset=utf-8"])
def test_a_contact_replaces_its_media_type_in_the_text(twilio: FakeTwilio, host: MediaHost, content_type: str) -> None:
    url = twilio.media_url("ME1", host.serve("carol", VCARD))
    text = show(twilio, host, message(url, content_type=content_type))
    assert (text.text, text.media) == (f"Call them\n{SHOWN}", [])


def test_the_second_host_does_not_see_the_credentials(twilio: FakeTwilio, host: MediaHost) -> None:
    show(twilio, host, message(twilio.media_url("ME1", host.serve("carol", VCARD))))
    assert twilio.asked_for == ["ME1"]  # only with the credentials
    ((path, headers),) = host.requests
    assert path == "/carol?Signature=s"
    assert headers.keys() == {"host", "accept-encoding", "user-agent", "connection"}


@pytest.mark.parametrize("elsewhere", ["other port", "https", "user", "name", "no URL"])
def test_a_url_outside_twilios_api_is_not_requested(twilio: FakeTwilio, host: MediaHost, elsewhere: str) -> None:
    right = twilio.media_url("ME1", host.serve("carol", VCARD))
    url = {
        "other port": host.serve("carol", VCARD),
        "https": right.replace("http:", "https:"),
        "user": right.replace("127.0.0.1", "x@127.0.0.1"),
        "name": right.replace("127.0.0.1", "localhost"),
        "no URL": "carol.vcf",
    }[elsewhere]
    text = message(url)
    assert show(twilio, host, text) == text
    assert (twilio.asked_for, host.requests) == ([], [])


def test_control_without_the_origin_check_another_host_gets_the_credentials(
    twilio: FakeTwilio, host: MediaHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_media, "_origin", lambda _: None)
    show(twilio, host, message(host.serve("carol", VCARD)))
    ((_, headers),) = host.requests
    assert "authorization" in headers


def test_a_redirect_to_a_private_address_is_not_followed(twilio: FakeTwilio, host: MediaHost) -> None:
    text = message(twilio.media_url("ME1", host.serve("carol", VCARD)))
    assert show(twilio, host, text, allows=False) == text
    assert (twilio.asked_for, host.requests) == (["ME1"], [])


def test_a_second_redirect_is_not_followed(twilio: FakeTwilio, host: MediaHost) -> None:
    host.redirects["/once"] = host.serve("carol", VCARD)
    text = message(twilio.media_url("ME1", f"http://{host.place}/once"))
    assert show(twilio, host, text) == text
    assert [path for path, _ in host.requests] == ["/once"]


@pytest.mark.parametrize("size_bytes", [FILE_MAX_BYTES, FILE_MAX_BYTES + 1])
def test_a_file_is_read_up_to_its_limit(twilio: FakeTwilio, host: MediaHost, size_bytes: int) -> None:
    text = message(twilio.media_url("ME1", host.serve("carol", VCARD + b"\n" * (size_bytes - len(VCARD)))))
    assert (show(twilio, host, text) == text) == (size_bytes > FILE_MAX_BYTES)


@pytest.mark.parametrize("place", ["endless", "missing", "page", ""])
def test_a_message_with_an_unreadable_contact_stays_unchanged(twilio: FakeTwilio, host: MediaHost, place: str) -> None:
    host.serve("page", b"<html>canary</html>")
    location = f"http://{host.place}/{place}" + ("?Signature=s" if place == "page" else "")
    text = message(twilio.media_url("ME1", location if place else "http://[canary"))
    with structlog.testing.capture_logs() as lines:
        assert show(twilio, host, text) == text
    (line,) = lines
    assert line.keys() == {"event", "log_level", "reason"}
    assert not [canary for canary in ("canary", CAROL, TOKEN, "127.0.0.1") if canary in str(line)]


def test_a_silent_host_does_not_delay_the_message(twilio: FakeTwilio, host: MediaHost) -> None:
    text = message(twilio.media_url("ME1", f"http://{host.place}/hang"))
    assert show(twilio, host, text, timeout_s=SHORT_S) == text


def test_three_contacts_of_a_message_are_fetched(twilio: FakeTwilio, host: MediaHost) -> None:
    files = [VCARD.replace(b"Carol", b"C%d" % n) for n in range(5)]
    urls = [twilio.media_url(f"ME{n}", host.serve(f"c{n}", file)) for n, file in enumerate(files)]
    text = show(twilio, host, message(*urls))
    assert [line for line in text.text.split("\n") if "Contact" in line] == [f"Contact: C{n} Jones" for n in range(3)]
    assert [media.url for media in text.media] == urls[3:]
    assert sorted(twilio.asked_for) == ["ME0", "ME1", "ME2"]


def test_one_contact_that_fails_does_not_hide_the_others(twilio: FakeTwilio, host: MediaHost) -> None:
    missing = twilio.media_url("ME1", f"http://{host.place}/missing")
    text = show(twilio, host, message(missing, twilio.media_url("ME2", host.serve("carol", VCARD))))
    assert (text.text, [media.url for media in text.media]) == (f"Call them\n{SHOWN}", [missing])


def test_other_files_and_sms_are_not_fetched(twilio: FakeTwilio, host: MediaHost) -> None:
    url = twilio.media_url("ME1", host.serve("carol", VCARD))
    for text in (message(url, content_type="image/jpeg"), message(url, channel="SMS"), message()):
        assert show(twilio, host, text) is text
    assert twilio.asked_for == []
