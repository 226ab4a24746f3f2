"""What the system says: in every language, with nothing left out, and with values that stay values."""

import gettext
import io
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopbell import catalogs
from shopbell.texts import LANGUAGES, LOCALES, for_locale, msgid

TRANSLATED = LANGUAGES[1:]
AT_MS = 1_763_847_180_000
ONE, MANY = "{count} more conversation is waiting.", "{count} more conversations are waiting."


@pytest.mark.parametrize(
    ("tags", "spoken"),
    [
        (["fr"], "fr"),
        (["fr-CA"], "fr"),
        (["pt_BR"], "pt"),
        (["PT-br"], "pt"),
        (["ar-EG-u-nu-latn"], "ar"),
        (["de-Latn-AT"], "de"),
        (["en-GB", "fr"], "en"),
        (["zh-Hant-TW", "fr-BE"], "fr"),
        (["tlh", None, "xx-YY", "nl"], "nl"),
        ([None, "it"], "it"),
        (["zh"], "en"),
        ([None], "en"),
        (["", "-", "fr-"], "fr"),
        (["fra"], "en"),
        (["../../etc/passwd"], "en"),
    ],
)
def test_somebody_is_spoken_to_in_his_language_or_the_next_best(tags: list[str | None], spoken: str) -> None:
    assert for_locale(*tags).tag == spoken


@given(st.text() | st.from_regex(r"(en|fr|ar|xx)([-_][A-Za-z0-9]{1,8}){0,5}", fullmatch=True))
def test_no_tag_that_a_stranger_sends_is_an_error(tag: str) -> None:
    assert for_locale(tag).tag in LANGUAGES


def test_a_region_writes_dates_in_its_own_way() -> None:
    assert for_locale("en-GB").date(AT_MS, "UTC") == "22 Nov 2025"
    assert for_locale("en").date(AT_MS, "UTC") == "Nov 22, 2025"
    assert (for_locale("en-GB").locale, for_locale("en-XX").locale) == ("en-GB", "en")


def test_a_time_is_that_of_the_time_zone() -> None:
    german = for_locale("de")
    assert german.date_time(AT_MS, "Europe/Paris") == "22.11.2025, 22:33"
    assert german.date_time(AT_MS, "Asia/Kolkata") == "23.11.2025, 03:03"
    assert german.weekday_and_time(AT_MS, "Europe/Paris") == "Samstag, 22. November 2025, 22:33"


def test_arabic_runs_from_right_to_left_and_nothing_else_does() -> None:
    assert {tag: for_locale(tag).direction for tag in LANGUAGES} == {**dict.fromkeys(LANGUAGES, "ltr"), "ar": "rtl"}


def test_a_value_is_never_read_as_a_text() -> None:
    for name in ("{business}", "{0}", "{customer.__class__}", "%s", "{", "}}", "\\g<0>"):
        said = for_locale("fr").gettext("{customer} has written to {business}", customer=name, business="Acme")
        assert said == f"{name} a écrit à Acme"


def test_a_value_that_was_forgotten_is_an_error_and_none_at_all_leaves_the_placeholders() -> None:
    with pytest.raises(KeyError):
        for_locale("fr").gettext("{customer} has written to {business}", business="Acme")
    assert for_locale("fr").gettext("Conversation with {business}") == "Conversation avec {business}"


def test_what_nobody_translated_stays_english() -> None:
    assert for_locale("fr").gettext("Acme and {name}", name="Globex") == "Acme and Globex"
    assert for_locale("fr").gettext("") == ""
    assert msgid("Acme") == "Acme"


def test_numbers_have_their_forms() -> None:
    def said(tag: str, count: int) -> str:
        return for_locale(tag).ngettext(ONE, MANY, count)

    assert said("en", 1) == "1 more conversation is waiting."
    assert said("en", 1234) == "1,234 more conversations are waiting."
    assert said("de", 1234) == "1.234 weitere Unterhaltungen warten."
    # French counts none as one, and Arabic has a form of its own for two, for few and for many.
    assert said("fr", 0).startswith("0 autre conversation ")
    assert len({said("ar", count).replace(str(count), "") for count in (0, 1, 2, 3, 11)}) == 5


@pytest.fixture(scope="module")
def said() -> set[catalogs.Said]:
    """Every text of the source."""
    return set(catalogs.said_in_source())


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_of_the_source_is_in_the_catalog_and_no_other(language: str, said: set[catalogs.Said]) -> None:
    kept = {catalogs.key_of(message) for message in catalogs.read(language) if message.id}
    assert kept == said, "run `make catalogs`"


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_in_all_its_forms_with_the_same_placeholders(language: str) -> None:
    catalog = catalogs.read(language)
    assert catalogs.missing(catalog) == []
    for message in (*catalog, *catalog.obsolete.values()):
        assert not (message.id and message.fuzzy)
        if isinstance(message.id, str):
            assert placeholders(message.string) == placeholders(message.id), message.id
        else:
            assert len(message.string) == catalog.num_plurals
            # One and two may be words, so the number itself may be left out; nothing else may.
            for form in message.string:
                assert placeholders(form) - Counter(["{count}"]) == placeholders(message.id[1]) - Counter(["{count}"])
                assert placeholders(form)["{count}"] <= 1
            assert placeholders(message.string[-1]) == placeholders(message.id[1])


def placeholders(text: object) -> Counter[str]:
    return Counter(catalogs.PLACEHOLDER.findall(str(text)))


def test_arabic_has_six_forms_of_a_number() -> None:
    assert catalogs.read("ar").num_plurals == 6


@pytest.mark.parametrize("language", TRANSLATED)
def test_what_is_read_at_run_time_is_what_people_wrote(language: str) -> None:
    path = catalogs.po_path(language)
    written = gettext.GNUTranslations(io.BytesIO(catalogs.mo_bytes(catalogs.read(language))))
    with path.with_suffix(".mo").open("rb") as file:
        read = gettext.GNUTranslations(file)
    texts = [message.id for message in catalogs.read(language) if message.id]
    assert texts
    for text in texts:
        if isinstance(text, str):
            assert read.gettext(text) == written.gettext(text) != ""
        else:
            for count in (0, 1, 2, 3, 11, 100):
                assert read.ngettext(*text, count) == written.ngettext(*text, count)


def test_there_is_no_language_without_its_catalog_and_no_catalog_without_its_language() -> None:
    assert {path.parent.parent.name for path in LOCALES.rglob("shopbell.mo")} == set(TRANSLATED)


def test_texts_are_found_in_code_and_in_templates(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "a = texts.gettext('One' if b else 'Two', name=c)\nLINE = msgid('Three')\ntexts.ngettext('4', '{count}', n)\n"
        "texts.gettext(LINE)\n_ = texts.gettext\n_('Seven')\n"
    )
    (tmp_path / "page.html").write_text("<p>{{ gettext('Five') }}{{ texts.gettext('Six {x}', x=1)|upper }}</p>")
    assert set(catalogs.said_in_source(tmp_path)) == {
        ("One",),
        ("Two",),
        ("Three",),
        ("4", "{count}"),
        ("Five",),
        ("Six {x}",),
        ("Seven",),
    }


def test_a_text_that_leaves_the_source_comes_back_with_its_translation() -> None:
    before = catalogs.read("fr")
    without = catalogs.brought_up(before, {("Your message",): ["page.html"]})
    assert [message.id for message in without if message.id] == ["Your message"]
    stored = catalogs.parsed("fr", catalogs.po_bytes(without))
    back = catalogs.brought_up(stored, {("Attachment",): ["mail.py"], ("Unheard of",): ["mail.py"]})
    assert {message.id: message.string for message in back if message.id} == {
        "Attachment": "Pièce jointe",
        "Unheard of": "",
    }
    assert catalogs.missing(back) == ["Unheard of"]


def test_the_catalogs_are_in_the_package_that_is_installed(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"shopbell/locales/{tag}/LC_MESSAGES/shopbell.mo" for tag in TRANSLATED} <= set(names)
