"""Recognize STOP, START and HELP keywords in all supported languages.

Only a text that consists of nothing but a keyword counts: "please stop the alarm" is a message for the business.
``stop``, ``start`` and ``help`` work in every language, because our own messages name them.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from shopbell.i18n.translations import Texts

Intent = Literal["stop", "start", "help"]

# North American carriers require the first eight English words.
_WORDS: dict[Intent, dict[str, tuple[str, ...]]] = {
    "stop": {
        "en": ("stop", "stop all", "unsubscribe", "cancel", "end", "quit", "opt out", "revoke", "remove me"),
        "fr": (
            "arrêt",
            "arrêter",
            "arrêtez",
            "désabonner",
            "me désabonner",
            "désabonnement",
            "désinscrire",
            "stop sms",
        ),
        "es": ("baja", "darme de baja", "parar", "pare", "alto", "cancelar suscripción", "detener"),
        "de": ("stopp", "abmelden", "abbestellen", "abmeldung", "beenden"),
        "it": ("ferma", "fermare", "basta", "disiscrivimi", "disiscriviti", "annulla iscrizione", "cancellami"),
        "pt": ("parar", "pare", "sair", "cancelar inscrição", "descadastrar", "remover"),
        "nl": ("stoppen", "afmelden", "uitschrijven", "afmelding"),
        "ar": ("إيقاف", "توقف", "قف", "إلغاء", "إلغاء الاشتراك"),
    },
    "start": {
        "en": ("start", "unstop", "subscribe", "opt in"),
        "fr": ("reprendre", "réabonner", "me réabonner", "abonner"),
        "es": ("alta", "reanudar", "comenzar", "empezar"),
        "de": ("starten", "anmelden", "fortsetzen"),
        "it": ("riprendi", "inizia", "iscrivimi"),
        "pt": ("retomar", "começar", "iniciar", "inscrever"),
        "nl": ("starten", "aanmelden", "hervatten"),
        "ar": ("ابدأ", "بدء", "اشتراك", "استئناف"),
    },
    "help": {
        "en": ("help", "info"),
        "fr": ("aide", "infos"),
        "es": ("ayuda",),
        "de": ("hilfe",),
        "it": ("aiuto",),
        "pt": ("ajuda",),
        "nl": ("hulp",),
        "ar": ("مساعدة",),
    },
}
_LONGEST_CHARACTERS = 40
# Characters around a word: quotation marks, full stops, exclamation marks, emoji, direction marks.
_NON_LETTERS = re.compile(r"[\W_]+")
# Arabic letters that are used interchangeably, and tatweel, which only stretches a word.
_ALIKE = str.maketrans({"ة": "ه", "ى": "ي", "ـ": None})


@dataclass(frozen=True, slots=True)
class Keyword:
    """A recognized keyword.

    Args:
        language: the only language with this word; None if several languages have it, such as ``stop``.
    """

    intent: Intent
    language: str | None


def find_keyword(text: str) -> Keyword | None:
    """Return the keyword that a text consists of, or None.

    Args:
        text: as received. Case, accents and surrounding punctuation and whitespace are ignored, and keywords of
            several words may be written as one, such as ``STOPALL``.
    """
    if len(text) > _LONGEST_CHARACTERS:
        return None
    return _KEYWORDS.get(_normal(text))


def keyword_reply(intent: Intent, texts: Texts, business_name: str) -> str:
    """Return the reply to a keyword.

    Args:
        intent: the keyword's meaning.
        texts: in the customer's language.
        business_name: the business that the customer wrote to.
    """
    if intent == "stop":
        return texts.gettext(
            "{business}: you are unsubscribed and will receive no more texts from us. Reply START to resubscribe.",
            business=business_name,
        )
    if intent == "start":
        return texts.gettext(
            "{business}: you will receive texts from us again. Reply STOP to unsubscribe.", business=business_name
        )
    return texts.gettext(
        "{business}: reply with your question and we will get back to you. Reply STOP to unsubscribe.",
        business=business_name,
    )


def _normal(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in folded if not unicodedata.combining(character)).translate(_ALIKE)
    return _NON_LETTERS.sub(" ", plain).strip()


def _keywords() -> dict[str, Keyword]:
    known: dict[str, Keyword] = {}
    for intent, languages in _WORDS.items():
        for language, words in languages.items():
            spaced = [_normal(word) for word in words]
            for word in dict.fromkeys((*spaced, *(word.replace(" ", "") for word in spaced))):
                before = known.get(word)
                several = before is not None and before.language != language
                known[word] = Keyword(intent, None if several or word == intent else language)
    return known


_KEYWORDS = _keywords()
