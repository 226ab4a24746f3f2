"""Texts in all languages: complete catalogs, plurals and safe values."""

import gettext
import io
import re
import subprocess
import sys
import zipfile
from collections import Counter
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import ROOT
from shopbell.http.branding.texts import launcher_texts
from shopbell.i18n import extract
from shopbell.i18n.extract import Catalogs
from shopbell.i18n.translations import LANGUAGES, LOCALES, folder_name, for_locale, msgid

TRANSLATED = LANGUAGES[1:]
CATALOGS = {"server": extract.SERVER, "inbox": extract.INBOX}
AT_MS = 1_763_847_180_000
ONE, MANY = "{count} more conversation is waiting.", "{count} more conversations are waiting."


@pytest.mark.parametrize(
    ("tags", "spoken"),
    [
        (["fr"], "fr"),
        (["fr-CA"], "fr"),
        (["pt"], "pt-BR"),
        (["pt_BR"], "pt-BR"),
        (["PT-br"], "pt-BR"),
        (["pt-PT"], "pt-PT"),
        (["pt-Latn-PT"], "pt-PT"),
        (["pt_AO"], "pt-PT"),
        (["pt-US"], "pt-BR"),
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
def test_a_reader_gets_their_language_or_the_nearest_one(tags: list[str | None], spoken: str) -> None:
    assert for_locale(*tags).tag == spoken


@given(st.text() | st.from_regex(r"(en|fr|ar|xx)([-_][A-Za-z0-9]{1,8}){0,5}", fullmatch=True))
def test_an_invalid_language_tag_is_not_an_error(tag: str) -> None:
    assert for_locale(tag).tag in LANGUAGES


def test_a_region_determines_the_date_format() -> None:
    assert for_locale("en-GB").date(AT_MS, "UTC") == "22 Nov 2025"
    assert for_locale("en").date(AT_MS, "UTC") == "Nov 22, 2025"
    assert (for_locale("en-GB").locale, for_locale("en-XX").locale) == ("en-GB", "en")


def test_a_time_is_shown_in_the_time_zone() -> None:
    german = for_locale("de")
    assert german.date_time(AT_MS, "Europe/Paris") == "22.11.2025, 22:33"
    assert german.date_time(AT_MS, "Asia/Kolkata") == "23.11.2025, 03:03"
    assert german.weekday_and_time(AT_MS, "Europe/Paris") == "Samstag, 22. November 2025, 22:33"


def test_only_arabic_is_right_to_left() -> None:
    assert {tag: for_locale(tag).direction for tag in LANGUAGES} == {**dict.fromkeys(LANGUAGES, "ltr"), "ar": "rtl"}


def test_a_value_is_never_interpreted_as_a_template() -> None:
    for name in ("{business}", "{0}", "{customer.__class__}", "%s", "{", "}}", "\\g<0>"):
        said = for_locale("fr").gettext("New message from {customer} to {business}", customer=name, business="Acme")
        assert said == f"{name} a écrit à Acme"


def test_a_missing_value_is_an_error_and_no_values_keep_the_placeholders() -> None:
    with pytest.raises(KeyError):
        for_locale("fr").gettext("New message from {customer} to {business}", business="Acme")
    assert for_locale("fr").gettext("Conversation with {business}") == "Conversation avec {business}"


def test_an_untranslated_text_stays_english() -> None:
    assert for_locale("fr").gettext("Acme and {name}", name="Globex") == "Acme and Globex"
    assert for_locale("fr").gettext("") == ""
    assert msgid("Acme") == "Acme"


def test_plural_forms_are_used() -> None:
    def said(tag: str, count: int) -> str:
        return for_locale(tag).ngettext(ONE, MANY, count)

    assert said("en", 1) == "1 more conversation is waiting."
    assert said("en", 1234) == "1,234 more conversations are waiting."
    assert said("de", 1234) == "1.234 weitere Anfragen warten."
    # French counts none as one, and Arabic has a form of its own for two, for few and for many.
    assert said("fr", 0).startswith("0 autre conversation ")
    assert len({said("ar", count).replace(str(count), "") for count in (0, 1, 2, 3, 11)}) == 5


@pytest.mark.parametrize(
    ("tag", "length_bytes", "written"),
    [
        ("en", 1, "1 kB"),
        ("en", 999_999, "1,000 kB"),
        ("en", 1_000_000, "1 MB"),
        ("en", 20_971_520, "21 MB"),
        ("de", 10_485_760, "10,5 MB"),
        ("fr", 10_485_760, "10,5\u202fMo"),
        ("ar", 10_485_760, "10.5 م.ب"),
    ],
)
def test_file_sizes_use_the_units_of_the_language(tag: str, length_bytes: int, written: str) -> None:
    assert for_locale(tag).file_size(length_bytes) == written


@pytest.fixture(scope="module", params=CATALOGS)
def catalogs(request: pytest.FixtureRequest) -> Catalogs:
    """The catalogs of the server, and of the inbox."""
    return CATALOGS[request.param]


@pytest.fixture(scope="module")
def said(catalogs: Catalogs) -> set[extract.Said]:
    """Every text of the source."""
    return set(extract.said_in_source(catalogs.source))


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_catalogs_contain_exactly_the_texts_of_the_source(
    language: str, catalogs: Catalogs, said: set[extract.Said]
) -> None:
    kept = {extract.key_of(message) for message in extract.read(language, catalogs) if message.id}
    assert kept == said, "run `make catalogs`"


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_in_all_forms_with_the_same_placeholders(language: str, catalogs: Catalogs) -> None:
    catalog = extract.read(language, catalogs)
    assert extract.missing(catalog) == []
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
    return Counter(extract.PLACEHOLDER.findall(str(text)))


def texts_of(language: str) -> list[tuple[str, str]]:
    """Every text of a language, beside the English one."""
    if language == LANGUAGES[0]:
        sources = [catalogs.source for catalogs in CATALOGS.values()]
        return [(text, text) for source in sources for key in extract.said_in_source(source) for text in key]
    found = []
    for catalogs in CATALOGS.values():
        for message in extract.read(language, catalogs):
            if message.id:
                forms = message.string if isinstance(message.string, tuple) else (message.string,)
                found += [(extract.key_of(message)[0], form) for form in forms]
    return found


def words_to_avoid() -> dict[str, list[str]]:
    """The last column of the table in CONTRIBUTING.md, by the order of its rows."""
    rows = (ROOT / "CONTRIBUTING.md").read_text().partition("| language |")[2].splitlines()[2:]
    table = takewhile(lambda row: row.startswith("|"), rows)
    avoided = [row.rstrip(" |").rpartition("|")[2].strip().split(", ") for row in table]
    return dict(zip(LANGUAGES, avoided, strict=True))


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_term_has_one_translation(language: str) -> None:
    avoided = re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, words_to_avoid()[language])) + r")(?![\w-])")
    assert [text for _, text in texts_of(language) if avoided.search(text)] == []


def test_brazilian_and_european_portuguese_differ() -> None:
    brazil, portugal = (for_locale(tag).gettext("Choose a file") for tag in ("pt-BR", "pt-PT"))
    assert (brazil, portugal) == ("Escolher um arquivo", "Escolher um ficheiro")


def test_the_bubble_needs_no_regional_variants() -> None:
    """Its script knows languages by two letters, to stay small."""
    said = {tag: launcher_texts(for_locale(tag)) for tag in LANGUAGES}
    assert [tag for tag in LANGUAGES if said[tag] != launcher_texts(for_locale(tag[:2]))] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_survey_answers_do_not_assume_the_customers_gender(language: str) -> None:
    texts = for_locale(language)
    ends = [texts.gettext("Very dissatisfied"), texts.gettext("Very satisfied")]
    # What is rated agrees with the noun of the question; the customer is not named.
    assert not [end for end in ends if re.search(r"satisf(echo|ait|eito)|soddisfatt|راضٍ", end)]


def test_inserted_values_do_not_change_the_direction_of_arabic_lines() -> None:
    alone = re.compile(
        r"(?<!\u2068)\{(?!count|size|when|number|message)[a-z_]+\}|\{(?!count|size|when|number|message)[a-z_]+\}(?!\u2069)"
    )
    assert [text for _, text in texts_of("ar") if alone.search(text)] == []
    assert for_locale("ar").gettext("Continue as {address}", address="•••67").endswith("\u2068•••67\u2069")


def test_french_punctuation_does_not_wrap_except_in_texts() -> None:
    wrapped = [french for english, french in texts_of("fr") if re.search(r" [:;?!]", french)]
    assert [text for text in wrapped if not text.startswith("{business} : ")] == []


def test_arabic_has_six_plural_forms() -> None:
    assert extract.read("ar").num_plurals == 6


@pytest.mark.parametrize("language", TRANSLATED)
def test_compiled_catalogs_match_their_sources(language: str) -> None:
    path = extract.SERVER.path(language)
    written = gettext.GNUTranslations(io.BytesIO(extract.mo_bytes(extract.read(language))))
    with path.with_suffix(".mo").open("rb") as file:
        read = gettext.GNUTranslations(file)
    texts = [message.id for message in extract.read(language) if message.id]
    assert texts
    for text in texts:
        if isinstance(text, str):
            assert read.gettext(text) == written.gettext(text) != ""
        else:
            for count in (0, 1, 2, 3, 11, 100):
                assert read.ngettext(*text, count) == written.ngettext(*text, count)


def test_languages_and_catalogs_correspond() -> None:
    names = {folder_name(tag) for tag in TRANSLATED}
    assert {path.parent.parent.name for path in LOCALES.rglob("shopbell.mo")} == names
    assert {path.stem for path in extract.INBOX.path("de").parent.iterdir()} == names


def test_texts_in_code_and_templates_are_extracted(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "a = texts.gettext('One' if b else 'Two', name=c)\nLINE = msgid('Three')\ntexts.ngettext('4', '{count}', n)\n"
        "texts.gettext(LINE)\n_ = texts.gettext\n_('Seven')\n"
    )
    (tmp_path / "page.html").write_text("<p>{{ gettext('Five') }}{{ texts.gettext('Six {x}', x=1)|upper }}</p>")
    assert set(extract.said_in_source(tmp_path)) == {
        ("One",),
        ("Two",),
        ("Three",),
        ("4", "{count}"),
        ("Five",),
        ("Six {x}",),
        ("Seven",),
    }


def test_texts_in_the_scripts_of_the_inbox_are_extracted(tmp_path: Path) -> None:
    (tmp_path / "row.tsx").write_text(
        'const a = isOpen ? t("One “{x}”", { x }) : t(\n  "Two \\"2\\"",\n)\n'
        'list(msgid("Three"), not("Four"), t(five))\n'
        'return <p title={t("Six")}>{n("{count} day", "{count} days", 7)}</p>\n'
    )
    assert set(extract.said_in_source(tmp_path)) == {
        ("One “{x}”",),
        ('Two "2"',),
        ("Three",),
        ("Six",),
        ("{count} day", "{count} days"),
    }


def test_scripts_of_the_inbox_translate_literals_only() -> None:
    """What is neither a literal nor marked elsewhere would stay English."""
    other = re.compile(r"(?<![\w.])(?:t|n|msgid)\((?!\s*\")(?!text: string|one: string)")
    sources = [*extract.INBOX.source.rglob("*.ts"), *extract.INBOX.source.rglob("*.tsx")]
    assert [path.name for path in sources for _ in other.findall(path.read_text())] == []


def test_a_removed_text_returns_with_its_translation() -> None:
    before = extract.read("fr")
    without = extract.brought_up(before, {("Your message",): ["page.html"]})
    assert [message.id for message in without if message.id] == ["Your message"]
    stored = extract.parsed("fr", extract.po_bytes(without))
    back = extract.brought_up(stored, {("Yesterday",): ["mail.py"], ("Unheard of",): ["mail.py"]})
    assert {message.id: message.string for message in back if message.id} == {
        "Unheard of": "",
        "Yesterday": "Hier",
    }
    assert extract.missing(back) == ["Unheard of"]


def test_the_catalogs_are_part_of_the_installed_package(tmp_path: Path) -> None:
    root = ROOT
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"shopbell/i18n/locales/{folder_name(tag)}/LC_MESSAGES/shopbell.mo" for tag in TRANSLATED} <= set(names)
