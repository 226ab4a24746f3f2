"""The contact form speaks the visitor's language, with the same texts in each."""

import pytest

from shopbell_client.form_texts import ENGLISH, texts_for
from shopbell_client.site import form_for

LANGUAGES = ("ar", "de", "es", "fr", "it", "nl", "pt", "pt-PT")


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_all_texts(language: str) -> None:
    texts = texts_for(language)
    assert texts.keys() == ENGLISH.keys()
    assert texts is not ENGLISH
    assert all(texts.values())


@pytest.mark.parametrize(
    ("locale", "title"),
    [
        ("fr-CA", "Envoyez-nous un message"),
        ("pt", "Envie uma mensagem"),
        ("pt-BR", "Envie uma mensagem"),
        ("PT-pt", "Envie-nos uma mensagem"),
        ("zh", "Send us a message"),
        (None, "Send us a message"),
    ],
)
def test_a_tag_selects_the_texts(locale: str | None, title: str) -> None:
    assert texts_for(locale)["title"] == title


def test_the_page_names_its_language_and_its_direction() -> None:
    assert '<html lang="ar" dir="rtl">' in form_for(1, None, "ar-EG,en;q=0.5").empty().body
    assert '<html lang="pt-pt">' in form_for(1, None, "pt-PT").empty().body
    assert "<html>" in form_for(1, {**ENGLISH, "title": "Hi!"}, "ar").empty().body


def test_texts_of_the_website_replace_those_of_the_language() -> None:
    own = {**ENGLISH, "title": "Ask us!"}
    assert "<h1>Ask us!</h1>" in form_for(1, own, "fr").empty().body
