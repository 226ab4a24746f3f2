"""The outbox pages of the demo, visible only on the same machine."""

import asyncio
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from test_pages import demo_on, on_sqlite

from shopbell.channels.email.folder import EmailFolder
from shopbell.channels.sms.folder import TextFolder
from shopbell.email.compose import compose
from shopbell.email.message import EmailContent, Purpose, Quoted
from shopbell.notifications.outcomes import Sent
from shopbell.sms.outgoing import OutgoingText, Senders

LINK = "https://chat.example.org/t/abc"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def put_a_mail(folder: Path, text: str = "Your bike is ready.", name: str = "Acme") -> str:
    """Write a mail as the channel does; returns its file's name."""
    before = set(folder.glob("*.eml"))
    letter = EmailContent(
        purpose=Purpose.REPLY,
        message_id="<one@acme.example>",
        envelope_sender="shop@acme.example",
        sender="shop@acme.example",
        recipient="carol@customers.example",
        business_name=name,
        at_ms=1_700_000_000_000,
        messages=(Quoted(name, text, 1_700_000_000_000),),
        button_url=LINK,
    )
    assert asyncio.run(EmailFolder(folder).send(compose(letter))) == Sent()
    ((made),) = set(folder.glob("*.eml")) - before
    return made.name


def put_a_text(folder: Path, text: str) -> str:
    """Write a text as the channel does; returns its file's name."""
    before = set(folder.glob("*.txt.json"))
    asyncio.run(TextFolder(folder, Senders(sms="+15005550006")).send(OutgoingText("1-1", "SMS", "+15551234567", text)))
    ((made),) = set(folder.glob("*.txt.json")) - before
    return made.name


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "outbox"


@pytest.fixture(scope="module")
def demo(outbox: Path) -> Iterator[httpx2.Client]:
    """``shopbell demo`` with its outbox."""
    with demo_on(outbox.parent, SHOPBELL_MAIL_OUTBOX=str(outbox)) as (client, _):
        yield client


def test_without_an_email_the_page_says_how_to_send_one(tmp_path: Path) -> None:
    with demo_on(tmp_path, SHOPBELL_MAIL_OUTBOX=str(tmp_path / "none")) as (client, _):
        page = client.get("/dev/mail")
        assert page.status_code == 200
        assert "Nothing yet." in page.text
        first = client.get("/").text
        assert 'href="dev/mail"' in first
        assert 'href="demo"' in first


def test_an_email_is_listed_and_shown_completely(demo: httpx2.Client, outbox: Path) -> None:
    name = put_a_mail(outbox)
    listed = demo.get("/dev/mail")
    assert f'href="mail/{name}"' in listed.text
    assert "carol@customers.example" in listed.text
    shown = demo.get(f"/dev/mail/{name}")
    assert "Your bike is ready." in shown.text
    assert f'<a href="{LINK}"' in shown.text
    assert "&lt;one@acme.example&gt;" in shown.text
    assert shown.headers["cache-control"] == "no-store"


def test_an_sms_is_listed_and_shown_with_its_links(demo: httpx2.Client, outbox: Path) -> None:
    name = put_a_text(outbox, f"Acme: read it at {LINK}.")
    assert f'href="mail/{name}"' in demo.get("/dev/mail").text
    shown = demo.get(f"/dev/mail/{name}")
    assert f'<a href="{LINK}" rel="noreferrer noopener">{LINK}</a>.' in shown.text
    assert "+15551234567" in shown.text


def test_the_newest_is_listed_first(demo: httpx2.Client, outbox: Path) -> None:
    names = [put_a_mail(outbox, text=str(number)) for number in range(3)]
    listed = re.findall(r'href="mail/([^"]+)"', demo.get("/dev/mail").text)
    assert listed[:3] == names[::-1]


def test_no_script_of_an_email_runs_on_any_page(demo: httpx2.Client, outbox: Path) -> None:
    name = put_a_mail(outbox, text=HOSTILE, name=HOSTILE)
    text = put_a_text(outbox, HOSTILE)
    for path in ("/dev/mail", f"/dev/mail/{name}", f"/dev/mail/{name}?part=html", f"/dev/mail/{text}"):
        page = demo.get(path)
        assert page.status_code == 200
        assert "<script" not in page.text.lower()
        assert "<img src=x" not in page.text
        assert html.escape(HOSTILE) in page.text
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "script-src" not in policy
    alone = demo.get(f"/dev/mail/{name}?part=html").headers["content-security-policy"]
    assert "; sandbox allow-popups allow-popups-to-escape-sandbox" in alone
    assert "frame-ancestors 'self'" in alone


@pytest.mark.parametrize(
    "path",
    [
        "17-mine.eml",
        "none.eml",
        "..%2Fsecret.eml",
        "%2e%2e%2fdata%2fsecret.key",
        "1700000000000-1.eml",
        "1700000000000-1.txt",
    ],
)
def test_no_other_file_is_shown(path: str, demo: httpx2.Client, outbox: Path) -> None:
    put_a_mail(outbox)
    for file in (outbox / "17-mine.eml", outbox.parent / "secret.eml"):
        file.write_text("Subject: secret\n\nsecret")
    answer = demo.get(f"/dev/mail/{path}")
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not-found"


def test_a_foreign_file_in_the_folder_breaks_nothing(demo: httpx2.Client, outbox: Path) -> None:
    put_a_mail(outbox)
    (outbox / "1700000000000-broken.txt.json").write_text("{")
    (outbox / "1700000000000-empty.txt.json").write_text(json.dumps({"channel": "SMS"}))
    (outbox / "1700000000000-broken.eml").write_bytes(b"\xff\xfe\0")
    (outbox / "notes.txt").write_text("mine")
    page = demo.get("/dev/mail")
    assert page.status_code == 200
    assert "broken.txt.json" not in page.text
    assert demo.get("/dev/mail/1700000000000-broken.txt.json").status_code == 404


@pytest.mark.parametrize("headers", [{"Host": "shop.example"}, {"X-Forwarded-For": "127.0.0.1"}, {"Via": "1.1 proxy"}])
def test_other_machines_cannot_see_the_demo_outbox(headers: dict[str, str], demo: httpx2.Client, outbox: Path) -> None:
    name = put_a_mail(outbox)
    for path in ("/dev/mail", f"/dev/mail/{name}", f"/dev/mail/{name}?part=html"):
        answer = demo.get(path, headers=headers)
        assert answer.status_code == 404
        assert "carol" not in answer.text


def test_a_real_installation_has_no_such_pages(tmp_path: Path) -> None:
    outbox = tmp_path / "outbox"
    name = put_a_mail(outbox)
    with on_sqlite(tmp_path).serving(mail_outbox=outbox) as server:
        for path in ("/dev/mail", f"/dev/mail/{name}"):
            assert server.client.get(path).status_code == 404
        assert 'href="dev/mail"' not in server.client.get("/").text
