"""Opt-out and opt-in keywords in every language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import ROOT
from shopbell.i18n.translations import LANGUAGES, for_locale
from shopbell.sms import stop_words
from shopbell.sms.segments import segments
from shopbell.sms.stop_words import find_keyword, keyword_reply

SPOKEN = {tag.partition("-")[0] for tag in LANGUAGES}
"""The languages without their regions."""

STOPS = {
    "en": ("unsubscribe", "Cancel", "QUIT", "end", "stop all", "opt-out", "STOPALL", "OptOut", "STOP-ALL"),
    "fr": ("arrêt", "ARRET", "Arrêtez", "désabonner", "Desabonner"),
    "es": ("baja", "Darme de baja", "Cancelar suscripción"),
    "de": ("stopp", "Stopp!", "abmelden", "Abbestellen."),
    "it": ("ferma", "Basta", "Disiscrivimi"),
    "pt": ("sair", "Cancelar inscrição"),
    "nl": ("stoppen", "Afmelden", "uitschrijven"),
    "ar": ("إيقاف", "ايقاف", "إِيقَاف", "توقف", "إلغاء الاشتراك", "الغاء الإشتراك"),
}
STARTS = {
    "en": ("unstop", "Subscribe", "OPTIN", "opt in", "Opt-In"),
    "fr": ("Reprendre", "Réabonner"),
    "es": ("alta",),
    "de": ("Fortsetzen",),
    "it": ("riprendi",),
    "pt": ("começar", "Comecar"),
    "nl": ("hervatten",),
    "ar": ("ابدأ", "اشتراك"),
}
HELPS = {
    "en": ("info",),
    "fr": ("Aide",),
    "es": ("ayuda",),
    "de": ("Hilfe",),
    "it": ("aiuto",),
    "pt": ("ajuda",),
    "nl": ("hulp",),
    "ar": ("مساعدة", "مساعده", "مســاعدة"),
}


@pytest.mark.parametrize(("intent", "words"), [("stop", STOPS), ("start", STARTS), ("help", HELPS)])
def test_each_languages_keywords_match_in_any_case_and_without_accents(
    intent: str, words: dict[str, tuple[str, ...]]
) -> None:
    assert set(words) == SPOKEN
    for language, own in words.items():
        for word in own:
            found = find_keyword(word)
            assert found is not None, word
            assert (found.intent, found.language) == (intent, language), word


@pytest.mark.parametrize(
    "said", ["STOP", "stop", " Stop. ", "«stop»", "STOP!!! 🛑", "\u200fSTOP\u200f", "ＳＴＯＰ", "stop\n"]
)
def test_stop_is_recognised_in_every_language_and_spelling(said: str) -> None:
    found = find_keyword(said)
    assert found is not None
    assert (found.intent, found.language) == ("stop", None)


def test_a_keyword_shared_by_two_languages_determines_neither() -> None:
    for word in ("parar", "pare", "start", "help"):
        found = find_keyword(word)
        assert found is not None
        assert found.language is None, word


@pytest.mark.parametrize(
    "said",
    [
        "",
        " ",
        "!",
        "🛑",
        "Please stop the alarm",
        "stop it",
        "Can I stop by at 5?",
        "non-stop",
        "stopstop",
        "yes",
        "ok",
        "Wann endet das? Abmelden?",
        "Quiero darme de baja, por favor",
        "s t o p",
        "cancel order",
        "STOP " * 20,
        "x" * 10_000,
    ],
)
def test_any_other_text_is_a_message(said: str) -> None:
    assert find_keyword(said) is None


@given(st.text())
def test_arbitrary_text_is_accepted(text: str) -> None:
    find_keyword(text)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("intent", ["stop", "start", "help"])
def test_the_confirmation_names_the_business_and_the_start_keyword_in_few_segments(language: str, intent: str) -> None:
    said = keyword_reply(intent, for_locale(language), "Acme Boston {business}")  # type: ignore[arg-type]
    assert "Acme Boston {business}" in said
    assert ("START" if intent == "stop" else "STOP") in said
    assert segments(said).count <= 2
    assert find_keyword("START" if intent == "stop" else "STOP") is not None


def test_the_page_lists_exactly_the_keywords() -> None:
    page = (ROOT / "docs" / "sms.md").read_text()
    languages = {
        "English": "en",
        "French": "fr",
        "Spanish": "es",
        "German": "de",
        "Italian": "it",
        "Portuguese": "pt",
        "Dutch": "nl",
        "Arabic": "ar",
    }
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    table = {languages[row[0]]: row[1:] for row in rows if row[0] in languages}
    assert set(table) == SPOKEN
    named = {"stop": "stop", "start": "start", "help": "help"}
    for language, cells in table.items():
        for intent, cell in zip(("stop", "start", "help"), cells, strict=True):
            for word in cell.split(", "):
                found = find_keyword(word)
                assert found is not None, word
                assert found.intent == intent, word
                assert found.language in (language, None), word
                spaced = stop_words._normal(word)
                named |= {spaced: intent, spaced.replace(" ", ""): intent}
    assert named == {word: known.intent for word, known in stop_words._KEYWORDS.items()}
