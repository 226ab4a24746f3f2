"""The words by which people end texts and take them up again, as people write them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopbell.texting import opt_out
from shopbell.texting.opt_out import answer, asked
from shopbell.texting.segments import segments
from shopbell.texts import LANGUAGES, for_locale

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
def test_each_language_has_its_words_in_any_case_and_without_accents(
    intent: str, words: dict[str, tuple[str, ...]]
) -> None:
    assert set(words) == set(LANGUAGES)
    for language, own in words.items():
        for word in own:
            found = asked(word)
            assert found is not None, word
            assert (found.intent, found.language) == (intent, language), word


@pytest.mark.parametrize(
    "said", ["STOP", "stop", " Stop. ", "«stop»", "STOP!!! 🛑", "\u200fSTOP\u200f", "ＳＴＯＰ", "stop\n"]
)
def test_stop_is_stop_in_every_language_however_it_is_written(said: str) -> None:
    found = asked(said)
    assert found is not None
    assert (found.intent, found.language) == ("stop", None)


def test_a_word_of_two_languages_tells_neither() -> None:
    for word in ("parar", "pare", "start", "help"):
        found = asked(word)
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
def test_anything_else_is_a_message_for_the_store(said: str) -> None:
    assert asked(said) is None


@given(st.text())
def test_no_text_is_too_strange_to_be_looked_at(text: str) -> None:
    asked(text)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("intent", ["stop", "start", "help"])
def test_the_answer_names_the_business_and_the_way_back_in_few_parts(language: str, intent: str) -> None:
    said = answer(intent, for_locale(language), "Acme Boston {business}")  # type: ignore[arg-type]
    assert "Acme Boston {business}" in said
    assert ("START" if intent == "stop" else "STOP") in said
    assert segments(said).count <= 2
    assert asked("START" if intent == "stop" else "STOP") is not None


def test_the_page_names_each_word_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sms.md").read_text()
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
    assert set(table) == set(LANGUAGES)
    named = {"stop": "stop", "start": "start", "help": "help"}
    for language, cells in table.items():
        for intent, cell in zip(("stop", "start", "help"), cells, strict=True):
            for word in cell.split(", "):
                found = asked(word)
                assert found is not None, word
                assert found.intent == intent, word
                assert found.language in (language, None), word
                spaced = opt_out._normal(word)
                named |= {spaced: intent, spaced.replace(" ", ""): intent}
    assert named == {word: known.intent for word, known in opt_out._KNOWN.items()}
