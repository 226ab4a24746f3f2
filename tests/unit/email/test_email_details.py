"""Parsing authentication results, reply text and file names."""

import pytest

from shopbell.email import html, reply_text
from shopbell.email.authentication_results import Authentication
from shopbell.email.auto_submitted import Reason
from shopbell.email.marker import LINE, marker
from shopbell.email.parse import parse
from shopbell.errors import SettingsError
from shopbell.i18n.translations import LANGUAGES, for_locale
from shopbell.settings.settings import load

HEAD = "From: Carol <carol@example.com>\r\n"
RECEIVED = "Received: from out.example.com by mx.example.org; Tue, 12 May 2026 09:41:07 +0200\r\n"


def authenticated(*fields: str) -> Authentication | None:
    """What a mail with these fields at its top has of its sender."""
    head = "".join(f"Authentication-Results: {field}\r\n" for field in fields)
    return parse(f"{head}{RECEIVED}{HEAD}\r\nhi".encode(), authserv_id="mx.example.org").authentication


def test_authentication_results_name_the_verified_sender() -> None:
    found = authenticated(
        "mx.example.org;\r\n\tdkim=pass (2048-bit key; x=y) header.d=example.com header.s=s1 header.b=abc;\r\n"
        '\tspf=softfail (mx.example.org: "a@example.com" may (not)) smtp.mailfrom=carol@bounce.example.com;'
        "\r\n\tdmarc=pass (p=reject) header.from=example.com"
    )
    assert found == Authentication("softfail", "bounce.example.com", "pass", "example.com", "pass", "example.com")
    assert found is not None
    assert found.is_aligned


@pytest.mark.parametrize(
    ("results", "is_proved"),
    [
        ("dmarc=pass header.from=acme.example", True),
        ("dmarc=pass", True),
        ("dmarc=pass header.from=example", True),
        ("dmarc=pass header.from=evil.example", False),
        ("dmarc=pass header.from=notacme.example", False),
        ("dmarc=fail header.from=acme.example", False),
        ("dmarc=fail; spf=pass smtp.mailfrom=bob@acme.example", True),
        ("spf=pass smtp.mailfrom=bob@mail.acme.example", False),
    ],
)
def test_only_the_sender_verified_by_the_server_counts(results: str, is_proved: bool) -> None:
    found = authenticated(f"mx.example.org; {results}")
    assert found is not None
    assert found.proves("alice@acme.example") == is_proved


def test_one_valid_signature_is_enough() -> None:
    found = authenticated("mx.example.org; dkim=fail header.d=list.example.net; dkim=pass header.d=example.com")
    assert found is not None
    assert (found.dkim, found.dkim_domain) == ("pass", "example.com")


@pytest.mark.parametrize(
    "field",
    [
        "mx.example.com; dmarc=pass",
        "mx.example.org.example.com; dmarc=pass",
        "(mx.example.org) evil.example.com; dmarc=pass",
        "evil.example.com (; mx.example.org); dmarc=pass",
        "evil.example.com\r\n mx.example.org; dmarc=pass",
    ],
)
def test_authentication_results_of_other_servers_are_ignored(field: str) -> None:
    assert authenticated(field) is None


def test_results_below_our_servers_header_are_ignored() -> None:
    found = authenticated("mx.example.org; dmarc=fail", "mx.example.org; dmarc=pass")
    assert found is not None
    assert found.dmarc == "fail"
    assert not found.is_aligned


def test_results_below_another_servers_header_are_ignored() -> None:
    assert authenticated("filter.example.org; spf=none", "mx.example.org; dmarc=pass") is None


@pytest.mark.parametrize(
    "results",
    [
        'spf=pass smtp.mailfrom="alice@acme.example"@evil.example',
        'spf=pass smtp.mailfrom="a; dmarc=pass"@evil.example',
        'spf=pass smtp.mailfrom="a; dmarc=pass"@evil.example; dmarc=none header.from=acme.example',
        r'spf=pass smtp.mailfrom="a\"; dmarc=pass; \"b"@evil.example; dmarc=fail header.from=acme.example',
        'spf=pass (for "a); dmarc=pass ("@evil.example) smtp.mailfrom=evil.example',
        "spf=pass (for a); dmarc=pass (@evil.example) smtp.mailfrom=evil.example; dmarc=fail",
        "dmarc=none; spf=pass smtp.mailfrom=a; dmarc=pass@evil.example",
        'dkim=fail reason="x; dmarc=pass" header.d=evil.example; dmarc=fail',
        'spf=pass smtp.mailfrom="a; dmarc=fail',
        "spf=pass (a; dmarc=pass; smtp.mailfrom=alice@acme.example",
    ],
)
def test_a_senders_display_name_proves_nothing(results: str) -> None:
    found = authenticated(f"mx.example.org; {results}")
    assert found is not None
    assert not found.is_aligned
    assert found.spf_domain != "acme.example"


def test_quoted_results_are_read_where_unquoted_ones_are() -> None:
    found = authenticated(
        '"mx.example.org"; dkim=pass header.d="example.com"; spf=pass smtp.mailfrom="a b"@example.net'
    )
    assert found == Authentication("pass", "example.net", "pass", "example.com")


def test_undefined_results_are_ignored() -> None:
    assert authenticated("mx.example.org; dmarc=passed; spf=pass-but-no; dkim=; =pass; dmarc") == Authentication(
        spf="pass"
    )


def test_without_a_named_server_no_sender_is_verified() -> None:
    assert parse(f"Authentication-Results: mx.example.org; dmarc=pass\r\n{HEAD}\r\nhi".encode()).authentication is None


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("Auto-Submitted: auto-replied", Reason.AUTO_SUBMITTED),
        ("Auto-Submitted: auto-notified; owner-email=x", Reason.AUTO_SUBMITTED),
        ("Auto-Submitted: no", None),
        ("Precedence: bulk", Reason.PRECEDENCE),
        ("Precedence: JUNK", Reason.PRECEDENCE),
        ("Precedence: first-class", None),
        ("X-Autoreply: yes", Reason.AUTO_REPLY_HEADER),
        ("X-Autorespond:", Reason.AUTO_REPLY_HEADER),
        ("X-Auto-Response-Suppress: DR, OOF, AutoReply", Reason.AUTO_RESPONSE_SUPPRESS),
        ("X-Auto-Response-Suppress: RN", None),
        ("Return-Path: <>", Reason.EMPTY_SENDER),
        ("Return-Path: <carol@example.com>", None),
        ("List-Id: <list.example.com>", Reason.MAILING_LIST),
        ("Message-ID: <x@reply.example.org>", None),
        ("Subject: Automatische Antwort", None),
        ("Subject: Out of office: hi\r\nX-Auto-Response-Suppress: RN", Reason.VACATION_SUBJECT),
        ("Subject: Réponse automatique : hi\r\nIn-Reply-To: <x@reply.example.org>", Reason.VACATION_SUBJECT),
    ],
)
def test_automatic_emails_are_recognised(field: str, reason: Reason | None) -> None:
    assert parse(f"{field}\r\n{HEAD}\r\nhi".encode()).automatic == reason


@pytest.mark.parametrize("sender", ["MAILER-DAEMON@example.com", "postmaster@example.com", "bounces+x=y@example.com"])
def test_mail_servers_are_automatic_senders(sender: str) -> None:
    assert parse(f"From: {sender}\r\n\r\nhi".encode()).automatic == Reason.MAILER_DAEMON


@pytest.mark.parametrize("locale", LANGUAGES)
def test_our_reply_line_ends_a_reply_in_every_language(locale: str) -> None:
    line = marker(for_locale(locale).gettext(LINE))
    assert reply_text.cut(f"Yes\n\n{line}\n\nold\nolder") == "Yes"
    assert reply_text.cut(f"Yes\n\nSome program that nobody knows says:\n\n> {line}\n> old").startswith("Yes")
    assert "old" not in reply_text.cut(f"Yes\n\n> {line}\n> old")
    begin, _, end = line.partition(" ")
    assert reply_text.cut(f"Yes\n\n> > {begin}\n> > {end}\n> > old\n\nolder") == "Yes"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("just this", "just this"),
        ("Yes\n\nOn Monday you wrote:\n\n> old", "Yes"),
        ("On Monday I wrote: nothing", "On Monday I wrote: nothing"),
        ("I said on 3 May:\nwe wrote 7 letters:\n- a\n- b", "I said on 3 May:\nwe wrote 7 letters:\n- a\n- b"),
        ("From: the kitchen\nTo: the hall\nit must fit", "From: the kitchen\nTo: the hall\nit must fit"),
        ("> 5 is too much\n\nYes", "> 5 is too much\n\nYes"),
        ("Yes\n\n> old\n> older\n", "Yes"),
        ("> only\n> quoted", "> only\n> quoted"),
        ("On 3 May 2026 Acme wrote:\n> old", "On 3 May 2026 Acme wrote:\n> old"),
        ("Best regards\nCarol\n\n-- \nCarol Diaz\nPhone", "Best regards\nCarol"),
        ("-- \nonly a signature", "-- \nonly a signature"),
        ("Sent from my garden, with love", "Sent from my garden, with love"),
        ("Yes\nSent from my iPhone", "Yes"),
        ("Sent from my iPhone is what it says\n1\n2\n3\n4", "Sent from my iPhone is what it says\n1\n2\n3\n4"),
        ("Yes\n\nCarol <carol@example.com> wrote on 3 May 2026:\n\n> old", "Yes"),
        ("Yes\n\n*From:* Acme\n*Sent:* Tuesday\n*To:* Carol\n*Subject:* x\n\nold", "Yes"),
        ("Yes\n\nOn 3 May 2026 Acme wrote:\n> a?\nno\n> b?\n> c?\nmaybe", "Yes\n\n> a?\nno\n\n> b?\n> c?\nmaybe"),
        ("", ""),
        ("\n\n", ""),
    ],
)
def test_a_reply_ends_exactly_where_the_quote_begins(text: str, answer: str) -> None:
    assert reply_text.cut(text) == answer


def test_a_reply_of_thousands_of_lines_is_kept_completely() -> None:
    text = "\n".join(f"line {number}" for number in range(20_000))
    assert reply_text.cut(text) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>one</p><p>two<br>three</p>", "one\n\ntwo\nthree"),
        ("a<blockquote>b<blockquote>c</blockquote></blockquote>d", "a\n> b\n>> c\nd"),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<a href='https://example.com/x'>here</a>", "here <https://example.com/x>"),
        ("<a href='https://example.com/'>example.com</a>", "example.com"),
        ("<a href='mailto:a@example.com'>write</a>", "write"),
        ("<a href='javascript:alert(1)'>here</a>", "here"),
        ("a&nbsp;b &lt;c&gt; &amp;", "a b <c> &"),
        ("<script>x</script><style>y</style><title>z</title>w", "w"),
        ("<!--[if mso]>x<![endif]-->w", "w"),
    ],
)
def test_html_is_converted_to_text(source: str, text: str) -> None:
    assert html.to_text(html.clean(source).html) == text


def test_flowed_lines_are_joined() -> None:
    head = f"{HEAD}Content-Type: text/plain; format=flowed"
    assert parse(f"{head}\r\n\r\na \r\nb\r\n c\r\n> d \r\n> e\r\n-- \r\nf".encode()).text == "a b\nc\n> d e\n-- \nf"
    assert parse(f"{head}; delsp=yes\r\n\r\n中 \r\n文".encode()).text == "中文"


def test_one_alternative_and_all_consecutive_parts_are_used() -> None:
    body = (
        "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
        "--c\r\n\r\nplain\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>marked</p>\r\n--c--\r\n"
        "--b\r\nContent-Type: text/html\r\n\r\n<i>more</i>\r\n--b\r\n\r\n1 < 2\r\n--b--\r\n"
    )
    mail = parse(f"{HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n{body}".encode())
    assert mail.text == "plain\n\nmore\n\n1 < 2"
    assert mail.html == "<p>marked</p>\n<i>more</i>\n<div>1 &lt; 2</div>".replace("\n", "")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('filename="a b.pdf"', "a b.pdf"),
        ("filename*=utf-8''K%C3%BCche.pdf", "Küche.pdf"),
        ("filename*0*=utf-8''K%C3%BC; filename*1=che.pdf", "Küche.pdf"),
        ('filename="=?utf-8?q?K=C3=BCche=2Epdf?="', "Küche.pdf"),
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="C:\\\\Users\\\\carol\\\\a.pdf"', "a.pdf"),
        ('filename="a\u202efdp.exe"', "afdp.exe"),
        ('filename=".."', "file"),
        ('filename=""', "document.pdf"),
        (f'filename="{"a" * 300}.pdf"', "a" * 251 + ".pdf"),
    ],
)
def test_file_names_are_decoded_and_contain_no_path(said: str, name: str) -> None:
    part = f"Content-Type: application/pdf\r\nContent-Disposition: attachment; {said}\r\n\r\n%PDF"
    (file,) = parse(
        f"{HEAD}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{part}\r\n--b--".encode()
    ).attachments
    assert (file.name, file.content) == (name, b"%PDF")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mail_listen": "http://127.0.0.1:8024"}, "SHOPBELL_MAIL_LISTEN"),
        ({"mail_listen": "lmtp://127.0.0.1"}, "SHOPBELL_MAIL_LISTEN"),
        ({"mail_listen": "lmtp://127.0.0.1:70000"}, "SHOPBELL_MAIL_LISTEN"),
        ({"mail_listen": "lmtp://127.0.0.1:8024", "mail_reply_domain": None}, "SHOPBELL_MAIL_REPLY_DOMAIN"),
        ({"mail_peers": "everybody"}, "SHOPBELL_MAIL_PEERS"),
        ({"mail_authserv_id": "mx.example.org; dmarc=pass"}, "SHOPBELL_MAIL_AUTHSERV_ID"),
        ({"mail_limit_bytes": 1}, "SHOPBELL_MAIL_LIMIT_BYTES"),
    ],
)
def test_an_invalid_setting_is_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load(**{"mail_reply_domain": "reply.example.org"} | settings)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("lmtp://127.0.0.1:8024", ("lmtp", "127.0.0.1", 8024)),
        ("smtp://[::1]:25/", ("smtp", "::1", 25)),
        ("lmtp://mail.internal:24", ("lmtp", "mail.internal", 24)),
    ],
)
def test_the_listener_binds_to_the_configured_addresses(listen: str, address: tuple[str, str, int]) -> None:
    assert load(mail_listen=listen, mail_reply_domain="reply.example.org").mail_listen_address == address
