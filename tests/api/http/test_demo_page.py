"""The first page of the demo: a shop, and the inbox of its employees."""

import html
import re

import httpx2
import pytest
from test_pages import demo as demo
from test_pages import server as server
from test_pages import token_in

from harness.installation import Server
from shopbell.i18n.translations import LANGUAGES

OWN_FORM = {"Sec-Fetch-Site": "same-origin"}


def test_the_demo_shows_the_shop_and_the_inbox_side_by_side(demo: tuple[httpx2.Client, str]) -> None:
    with httpx2.Client(base_url=demo[0].base_url, headers=OWN_FORM) as browser:
        first = browser.get("/").text
        assert '<iframe src="demo"' in first
        assert '<iframe src="inbox"' not in first
        signed_in = browser.post("/demo/sign-in", data={"employee": "Ben Carter"})
        assert signed_in.status_code == 303
        assert browser.get("/").text.count("<iframe") == 2
        assert browser.get("/api/me").json()["name"] == "Ben Carter"
        for page in ("/demo", "/inbox"):
            assert "frame-ancestors 'self'" in browser.get(page).headers["content-security-policy"]


@pytest.mark.parametrize(
    ("headers", "employee", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, "Ben Carter", 403),
        (OWN_FORM | {"X-Forwarded-For": "203.0.113.9"}, "Ben Carter", 404),
        (OWN_FORM | {"Host": "attacker.example"}, "Ben Carter", 404),
        (OWN_FORM, "Mallory", 404),
    ],
)
def test_the_demo_signs_in_only_its_employees_on_its_own_page(
    demo: tuple[httpx2.Client, str], headers: dict[str, str], employee: str, status: int
) -> None:
    refused = demo[0].post("/demo/sign-in", data={"employee": employee}, headers=headers)
    assert refused.status_code == status
    assert "set-cookie" not in refused.headers


def test_no_other_server_signs_in_without_a_password(server: Server) -> None:
    refused = server.client.post("/demo/sign-in", data={"employee": "Ben Carter"}, headers=OWN_FORM)
    assert refused.status_code == 404


@pytest.mark.parametrize(
    ("asked", "language", "direction", "button"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de", "ltr", "Als Ben Carter anmelden"),
        ("pt", "pt-BR", "ltr", "Entrar como Ben Carter"),
        ("ar", "ar", "rtl", "Ben Carter"),
        ("xx", "en", "ltr", "Sign in as Ben Carter"),
    ],
)
def test_the_first_page_speaks_the_language_of_the_browser(
    demo: tuple[httpx2.Client, str], asked: str, language: str, direction: str, button: str
) -> None:
    page = demo[0].get("/", headers={"Accept-Language": asked}).text
    assert f'<html lang="{language}" dir="{direction}">' in page
    assert button in page
    assert demo[1] in html.unescape(page)  # the command is the same in every language


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_no_text_of_the_first_page_stays_english(
    demo: tuple[httpx2.Client, str], server: Server, language: str
) -> None:
    for client in (demo[0], server.client):
        english, page = (texts_on(client.get("/", headers={"Accept-Language": each})) for each in ("en", language))
        names = {"Shopbell", "Alice Miller", "Ben Carter"}
        same = {
            text for text in english & page if not text.startswith(("curl ", "shopbell ", ".venv/", "{", "version "))
        }
        assert same - names == set()


def texts_on(page: httpx2.Response) -> set[str]:
    """The texts of a page, without tags."""
    return {text for each in re.findall(r">([^<]+)<", page.text) if (text := html.unescape(each).strip())}


def test_the_demo_begins_with_conversations_in_several_channels_and_languages(
    demo: tuple[httpx2.Client, str],
) -> None:
    client, printed = demo
    listed = client.get("/api/threads", headers={"token": token_in(printed)}).json()["threads"]
    assert {each["customerChannel"] for each in listed} == {"WEB", "EMAIL", "SMS", "WHATSAPP"}
    assert {each["status"] for each in listed} == {"waiting", "resolved"}
    assert len({each["assigneeUserId"] for each in listed}) == 3
    assert "Nothing yet." in client.get("/dev/mail").text
