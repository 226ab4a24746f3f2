"""The words by which people end texts, take them up again or ask what this is: in every language that we write.

Only a text that is such a word and nothing else counts: "please stop the alarm" is a message for the store. ``stop``,
``start`` and ``help`` work in all languages, because the texts themselves name them.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from shopbell.texts import Texts

Intent = Literal["stop", "start", "help"]

# The first six of English, and the two after them, are what carriers in North America require.
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
# Signs around a word: quotes, full stops, exclamation marks, an emoji, marks of direction.
_NO_LETTERS = re.compile(r"[\W_]+")
# Letters that people write for one another, and one that only makes a word longer.
_ALIKE = str.maketrans({"ة": "ه", "ى": "ي", "ـ": None})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a text asks for.

    Args:
        intent: ``stop``, ``start`` or ``help``.
        language: the only language that has this word; None where several do, as of ``stop``.
    """

    intent: Intent
    language: str | None


def asked(text: str) -> Asked | None:
    """What a text asks for, if it is one of the words and nothing else.

    Args:
        text: as it came; case, accents, punctuation and white space around it do not matter, and several words may be
            written as one, such as ``STOPALL``.
    """
    if len(text) > _LONGEST_CHARACTERS:
        return None
    return _KNOWN.get(_normal(text))


def answer(intent: Intent, texts: Texts, business_name: str) -> str:
    """What is answered to such a word.

    Args:
        intent: what was asked.
        texts: in the language of whoever asked.
        business_name: who the texts are from.
    """
    if intent == "stop":
        return texts.gettext(
            "{business}: you will get no more texts from us. Reply START to get them again.", business=business_name
        )
    if intent == "start":
        return texts.gettext("{business}: you get texts from us again. Reply STOP to end them.", business=business_name)
    return texts.gettext(
        "{business}: write your question here and we will answer it. Reply STOP to get no more texts.",
        business=business_name,
    )


def _normal(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in folded if not unicodedata.combining(character)).translate(_ALIKE)
    return _NO_LETTERS.sub(" ", plain).strip()


def _known() -> dict[str, Asked]:
    known: dict[str, Asked] = {}
    for intent, languages in _WORDS.items():
        for language, words in languages.items():
            spaced = [_normal(word) for word in words]
            for word in dict.fromkeys((*spaced, *(word.replace(" ", "") for word in spaced))):
                before = known.get(word)
                several = before is not None and before.language != language
                known[word] = Asked(intent, None if several or word == intent else language)
    return known


_KNOWN = _known()
