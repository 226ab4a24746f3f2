"""SMS segments are counted exactly, for every character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopbell.formats import graphemes
from shopbell.i18n import extract
from shopbell.i18n.translations import LANGUAGES, for_locale
from shopbell.sms.segments import Segments, segments, shortened, with_plain_letters, with_plain_spaces

DOUBLE = "\f^{}\\[~]|€"
ONE_OF_EACH = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
LINK = "\nhttps://chat.example.org/t/Zk3xQ9"


def gsm(units: int, count: int) -> Segments:
    """Segments in the small alphabet."""
    return Segments("gsm-7", units, count)


def ucs(units: int, count: int) -> Segments:
    """Segments in Unicode."""
    return Segments("ucs-2", units, count)


def test_the_default_alphabet_has_127_characters_and_its_extension_10() -> None:
    assert len(set(ONE_OF_EACH)) == len(ONE_OF_EACH) == 127
    assert segments(ONE_OF_EACH) == gsm(127, 1)
    assert segments(DOUBLE) == gsm(20, 1)


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("", gsm(0, 1)),
        ("a" * 160, gsm(160, 1)),
        ("a" * 161, gsm(161, 2)),
        ("a" * 306, gsm(306, 2)),
        ("a" * 307, gsm(307, 3)),
        ("a" * 459, gsm(459, 3)),
        ("a" * 460, gsm(460, 4)),
        ("a" * 158 + "€", gsm(160, 1)),
        ("a" * 159 + "€", gsm(161, 2)),
        ("€" * 80, gsm(160, 1)),
        ("€" * 81, gsm(162, 2)),
        # 76 pairs fit into 153: the 77th is not cut in two.
        ("€" * 152, gsm(304, 2)),
        ("€" * 153, gsm(306, 3)),
        ("a" * 152 + "€" + "a" * 152, gsm(306, 3)),
        ("a" * 151 + "€" + "a" * 153, gsm(306, 2)),
        ("ж" * 70, ucs(70, 1)),
        ("ж" * 71, ucs(71, 2)),
        ("ж" * 134, ucs(134, 2)),
        ("ж" * 135, ucs(135, 3)),
        ("a" * 69 + "’", ucs(70, 1)),
        ("a" * 70 + "’", ucs(71, 2)),
        ("🚲" * 35, ucs(70, 1)),
        ("🚲" * 36, ucs(72, 2)),
        # 33 fit into 67: the 34th is not cut in two.
        ("🚲" * 66, ucs(132, 2)),
        ("🚲" * 67, ucs(134, 3)),
        ("a" * 66 + "🚲" + "a" * 66, ucs(134, 3)),
        ("a" * 65 + "🚲" + "a" * 67, ucs(134, 2)),
    ],
)
def test_segments_are_counted_exactly_at_each_limit(text: str, counted: Segments) -> None:
    assert segments(text) == counted


@pytest.mark.parametrize("character", ["ç", "À", "ê", "’", "–", "…", "\u00a0", "\t", "`", "ÿ", "ı", "م", "😀", "\x1b"])
def test_one_unsupported_character_makes_the_whole_text_unicode(character: str) -> None:
    assert segments("a" * 71 + character).encoding == "ucs-2"


@given(st.text())
def test_segments_are_neither_too_few_nor_almost_empty(text: str) -> None:
    counted = segments(text)
    together = 153 if counted.encoding == "gsm-7" else 67
    alone = 160 if counted.encoding == "gsm-7" else 70
    if counted.units <= alone:
        assert counted.count == 1
    else:
        assert counted.count * together >= counted.units
        assert (counted.count - 1) * (together - 1) < counted.units


@given(st.text(min_size=1).filter(lambda text: not text.isspace()), st.integers(1, 4))
def test_a_shortened_text_fits_and_is_the_beginning_of_the_original(text: str, at_most: int) -> None:
    long = text * (1 + 700 // len(text))
    short = shortened(long, at_most, LINK)
    assert segments(short).count <= at_most
    if short != long:
        assert short.endswith("..." + LINK)
        assert long.startswith(short.removesuffix("..." + LINK))


GRAPHEMES = ("👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "e\u0301", "नमस्ते"[2:5], "각", "1️⃣")


@pytest.mark.parametrize("grapheme", GRAPHEMES)
@pytest.mark.parametrize("before", range(12))
def test_a_text_is_not_cut_inside_a_grapheme(grapheme: str, before: int) -> None:
    text = "x" * before + grapheme * 200
    head = shortened(text, 1, LINK).removesuffix("..." + LINK)
    assert len(head) > before
    assert len(head) in graphemes.boundaries(text)
    for at_most in range(40):
        head = graphemes.beginning(text, at_most)
        assert len(head) <= at_most < len(head) + len(grapheme) + (at_most < before)
        assert len(head) in graphemes.boundaries(text)


def test_a_too_long_grapheme_is_left_out() -> None:
    zalgo = "a" + "\u0301" * 5_000
    assert graphemes.beginning(zalgo, 80) == ""
    assert graphemes.beginning("Hi " + zalgo, 80) == "Hi "
    assert shortened(zalgo, 1, LINK) == "..." + LINK


@pytest.mark.parametrize("space", ["\u202f", "\u00a0", "\u2009", "\u2007", "\u3000"])
def test_no_kind_of_space_makes_a_text_unicode(space: str) -> None:
    text = f"We open again at 9:00{space}AM" + "." * 100
    assert segments(text).count == 2
    assert segments(with_plain_spaces(text)) == gsm(len(text), 1)


def test_a_text_that_fits_is_unchanged() -> None:
    assert shortened("a" * 160, 1, LINK) == "a" * 160


def test_a_text_is_cut_between_words_with_a_link_to_the_full_text() -> None:
    text = "We have mended the front wheel of your bicycle. " * 10
    short = shortened(text, 1, LINK)
    assert short.endswith("We have mended the front..." + LINK)
    assert segments(short).units <= 160 < segments(short).units + len(" wheel")
    assert shortened("x" * 500, 1, LINK) == "x" * (160 - 3 - len(LINK)) + "..." + LINK


CLOSED = [
    "Thank you for your message. We are currently closed and will reply as soon as we can.",
    "Thank you for your message. We are currently closed. We reopen on {when}.",
]
MONDAY_MS = 1_795_424_400_000


@pytest.fixture(scope="module")
def own_texts() -> list[str]:
    """What Shopbell itself says to a customer by SMS, in English."""
    texts = [text for key in extract.said_in_source() for text in key]
    return [text for text in texts if text.startswith("{business}:") and "{message}" not in text]


@pytest.mark.parametrize("language", LANGUAGES)
def test_our_texts_are_one_segment_in_every_language_and_at_most_two_in_arabic(
    language: str, own_texts: list[str]
) -> None:
    texts = for_locale(language)
    when = texts.weekday_and_time(MONDAY_MS, "Europe/Paris")
    assert len(own_texts) == 5
    for english in own_texts + CLOSED:
        said = with_plain_spaces(texts.gettext(english, business="Acme Bikes", when=when))
        said += LINK if english.endswith("here:") else ""
        assert segments(with_plain_letters(said)).count <= (2 if language == "ar" else 1), english


def test_control_with_accents_some_texts_take_two_segments(own_texts: list[str]) -> None:
    counted = [segments(for_locale("pt").gettext(text, business="Acme Bikes")).count for text in own_texts]
    assert max(counted) == 2


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Agradecemos a sua ligação " * 4, "Agradecemos a sua ligacao " * 4),
        ("„Ça va“ – l’été… " * 5, '"Ça va" - l\'été... ' * 5),
        ("e\u0302 " * 50, "e " * 50),
        ("ligação", "ligação"),  # one segment anyhow
        ("ж ã " * 30, "ж ã " * 30),  # nothing would be saved
    ],
)
def test_accents_are_removed_only_if_that_saves_a_segment(text: str, plain: str) -> None:
    assert with_plain_letters(text) == plain
