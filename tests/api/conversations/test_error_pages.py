"""Browsers get error pages where messages link to; programs get JSON."""

from html import unescape

import pytest
from fastapi import Request

from harness.shop import Shop
from shopbell.errors import Conflict, NotFound, QuotaExceeded, RequestError
from shopbell.http.pages.error_pages import error_page, is_wanted
from shopbell.http.request.errors import Forbidden, MethodNotAllowed
from shopbell.http.request.problem_types import problem_type
from shopbell.http.request.problems import headers_of
from shopbell.http.server.errors import InternalError, TemporarilyUnavailable
from shopbell.i18n.translations import LANGUAGES

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
NOWHERE = ("/answer/x", "/unsubscribe/x", "/c/x", "/c/x/transcript", "/attachments/x/y?expires=1&signature=z")


@pytest.mark.parametrize("path", NOWHERE)
def test_a_broken_link_is_a_page_for_browsers_and_json_for_programs(shop: Shop, path: str) -> None:
    page = shop.server.client.get(path, headers={**BROWSER, "Accept-Language": "fr"})
    told = shop.server.client.get(path)
    assert (page.status_code, told.status_code) == (404, 404)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    heading = "Ce fichier n’est plus disponible" if "attachments" in path else "Ce lien ne fonctionne pas"
    assert f"<h1>{heading}</h1>" in unescape(page.text)
    assert told.headers["content-type"] == "application/problem+json"


def test_a_form_from_another_site_is_refused_with_an_explanation(shop: Shop) -> None:
    foreign = {**BROWSER, "Origin": "https://evil.example"}
    refused = shop.server.client.post("/t/new-link", data={"token": "x"}, headers=foreign)
    assert refused.status_code == 403
    assert "<h1>This form could not be sent</h1>" in refused.text


def test_the_api_returns_json_to_browsers_too(shop: Shop) -> None:
    for path in ("/api/threads", "/api/customer/threads", "/nowhere"):
        told = shop.server.client.get(path, headers=BROWSER)
        assert told.headers["content-type"] == "application/problem+json", path


def asked(path: str, *, accept: str = BROWSER["Accept"], language: str = "en") -> Request:
    headers = [(b"accept", accept.encode()), (b"accept-language", language.encode())]
    return Request({"type": "http", "method": "GET", "path": path, "headers": headers})


def test_only_browsers_on_linked_pages_get_error_pages() -> None:
    assert is_wanted(asked("/c/12"))
    assert not is_wanted(asked("/c/12", accept="*/*"))
    assert not is_wanted(asked("/customers/12"))
    assert not is_wanted(asked("/api/c/12"))


@pytest.mark.parametrize(
    ("error", "heading"),
    [
        (Forbidden("x"), "This form could not be sent"),
        (NotFound(), "This link does not work"),
        (QuotaExceeded(7), "Too many requests"),
        (TemporarilyUnavailable(3), "This page is temporarily unavailable"),
        (MethodNotAllowed("GET"), "Something went wrong"),
        (Conflict("x"), "Something went wrong"),
        (InternalError(), "Something went wrong"),
    ],
)
def test_an_error_page_keeps_the_status_and_headers_of_the_error(error: RequestError, heading: str) -> None:
    page = error_page(asked("/c/12/messages"), error)
    assert page.status_code == problem_type(error).status
    assert f"<h1>{heading}</h1>" in bytes(page.body).decode()
    assert 'href="../../widget/panel.css' in bytes(page.body).decode()
    for name, value in headers_of(error).items():
        assert page.headers[name] == value


def test_a_page_is_in_the_language_of_the_browser() -> None:
    pages = {language: error_page(asked("/c/1", language=language), NotFound()) for language in LANGUAGES}
    assert len({bytes(page.body) for page in pages.values()}) == len(LANGUAGES)
    assert '<html lang="pt-PT" dir="ltr"' in bytes(pages["pt-PT"].body).decode()
    assert '<html lang="ar" dir="rtl"' in bytes(pages["ar"].body).decode()
