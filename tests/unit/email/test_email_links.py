"""Our links are found and removed in replies, even when rewritten."""

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from shopbell.email.answer_links import AnswerLinks, AnswerTarget, LinkRemover
from shopbell.email.reply_addresses import Audience
from shopbell.email.unsubscribe import Subscription, UnsubscribeLinks
from shopbell.security.keys import Keys

KEYS = Keys((b"new" * 16, b"old" * 16))
NOW_S = 1_800_000_000
BASE = "https://chat.example.org"

REWRITTEN = {
    "as it was": "{url}",
    "in brackets": "Answer<{url}>",
    "in upper case": "{upper}",
    "without its scheme": "chat.example.org/answer/{token}",
    "the token alone": "{token}",
    "percent-encoded": "https://nam02.safelinks.example/?url={encoded}&data=05%7C02&reserved=0",
    "percent-encoded twice": "https://gateway.example/wis/query?url={twice}&c=E",
    "percent-encoded in lower case": "https://linkprotect.example/url?a={lower}&c=E,1",
    "with other letters for its marks": "https://urldefense.example/v2/url?u=https-3A__chat.example.org_answer_{token}&d=x",
    "between marks": "https://urldefense.example/v3/__{url}__;!!abc$",
    "in base64": "https://central.gateway.example/?d=chat.example.org&u={base64}&i=NjA",
    "in base64 for addresses": "https://central.gateway.example/?u={url_base64}&h=1",
    "in base64, percent-encoded": "https://central.gateway.example/?u={encoded_base64}&h=1",
    "in quoted lines": "{half}\n> {other_half}",
    "in lines that end with blanks": "{half}  \n>> | {other_half}",
}


def _forms_of(url: str) -> dict[str, str]:
    token = url.rpartition("/")[2]
    encoded = quote(url, safe="")
    base64 = b64encode(url.encode()).decode()
    return {
        "url": url,
        "token": token,
        "upper": url.upper(),
        "encoded": encoded,
        "twice": quote(encoded, safe=""),
        "lower": encoded.lower(),
        "base64": base64,
        "url_base64": urlsafe_b64encode(url.encode()).decode().rstrip("="),
        "encoded_base64": quote(base64, safe=""),
        "half": url[:70],
        "other_half": url[70:],
    }


def _link(keys: Keys = KEYS) -> str:
    return AnswerLinks(keys).link(BASE, AnswerTarget(12_344, 12_352, 12_345, 2**48 - 1), now_s=NOW_S)


@pytest.mark.parametrize("way", REWRITTEN)
@pytest.mark.parametrize("key", ["the key", "the former key"])
def test_a_link_is_found_after_a_gateway_rewrote_it(way: str, key: str) -> None:
    link = _link(KEYS if key == "the key" else Keys(KEYS.secrets[1:]))
    text = REWRITTEN[way].format_map(_forms_of(link))
    left = LinkRemover(KEYS).cut(f"Yes.\n\n> Read and answer: {text}\n\nFrom ten.")
    assert left.replace("Answer<[…]>", "[…]") == "Yes.\n\n> Read and answer: […]\n\nFrom ten."


@pytest.mark.parametrize("digest", [None, 2**48 - 1])
def test_the_unsubscribe_link_is_found_too_even_in_the_same_line(digest: int | None) -> None:
    ending = UnsubscribeLinks(KEYS).link(BASE, Subscription(12_344, 12_352, Audience.BUSINESS, digest))
    assert LinkRemover(KEYS).cut(f"a {ending}.b <{_link()}> c") == "a […] <[…]> c"


@pytest.mark.parametrize(
    "way", ["{}", "https://gateway.example/?url={encoded}&data=05", "https-3A__chat.example.org_t_{token}"]
)
def test_a_customers_link_is_found_by_its_pattern(way: str) -> None:
    token = "aB3" * 14 + "x"
    url = f"{BASE}/t/{token}"
    text = way.format(url, encoded=quote(url, safe=""), token=token)
    assert LinkRemover(KEYS).cut(f"Thanks!\n> Go on here: {text}\n") == "Thanks!\n> Go on here: […]\n"
    assert token in LinkRemover(KEYS).cut(f"https://acme.example/t/{token}longer https://acme.example/tt/{token}")


def test_unsigned_links_stay() -> None:
    others = _link(Keys((b"others" * 8,)))
    letters = "abcdefgh" * 40
    prose = "See https://acme.example/answer/1.\n> Yes\n> No\n" + "word " * 100 + letters
    base64 = f"https://acme.example/?u={b64encode(letters.encode()).decode()}&v={'%zz' * 40}&w={'a' * 61}"
    for text in (others, prose, base64, f"{others} {prose} {base64}", "", "a" * 49):
        assert LinkRemover(KEYS).cut(text) == text


def test_a_text_with_hundreds_of_possible_links_loses_all_of_them() -> None:
    left = LinkRemover(KEYS).cut("a" * 10_000 + f"\n{_link()}\n" + f"={'YWFh' * 2_500}")
    assert "a" * 400 not in left
    assert _link().rpartition("/")[2] not in left
