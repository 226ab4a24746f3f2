"""Recognize automatic emails: replying to them could create endless loops (RFC 3834)."""

import re
from enum import StrEnum

from shopbell.email import decoding
from shopbell.email.bounces import NO_RETURN, is_server
from shopbell.email.mime import Part


class Reason(StrEnum):
    """Why an email is considered automatic."""

    BOUNCE = "bounce"
    EMPTY_SENDER = "empty-envelope-sender"
    AUTO_SUBMITTED = "auto-submitted"
    AUTO_REPLY_HEADER = "auto-reply-header"
    AUTO_RESPONSE_SUPPRESS = "auto-response-suppress"
    PRECEDENCE = "precedence"
    MAILING_LIST = "mailing-list"
    MAILER_DAEMON = "mailer-daemon"
    VACATION_SUBJECT = "vacation-subject"


_AUTO_REPLY_HEADERS = ("x-ms-exchange-inbox-rules-loop", "x-fc-machinegenerated", "x-rbl-warning-bounce")
# Programs identify themselves in custom headers, either in the name ("X-Vacation-Responder: yes") or in the value
# ("X-Apple-Action: VACATION", "X-POST-MessageClass: 9; Autoresponder").
_AUTO_REPLY = r"auto-?(?:matic-?)?(?:repl(?:y|ied)|respon[ds]\w*|generated|answer)|out-?of-?(?:the-?)?office"
_AUTO_REPLY_NAME = re.compile(rf"(?:.*-)?(?:{_AUTO_REPLY}|vacation)(?:-.*)?", re.IGNORECASE)
_AUTO_REPLY_VALUE = re.compile(
    rf"(?:^|[^a-z])(?:(?:{_AUTO_REPLY.replace('-?', '[- ]?')})(?:[^a-z]|$)|vacation[^a-z]*$)", re.IGNORECASE
)
_NO_PROGRAMS = re.compile(r"mailer|spam|virus|scan|topic|subject|thread|original|keyword|label|folder|report|suppress")
_REPLY_VALUE_CHARACTERS = 100
_NEGATIONS = ("no", "false", "0", "none", "never", "off")
_LIST_HEADERS = ("list-id", "list-post", "mailing-list", "x-mailing-list")
_BOUNCES = re.compile(r"bounces?(?:[+=-].*)?@.*")
_NO_REPLY = re.compile(r"(?:no|do-?not|ne-pas|nicht)[-_.]?(?:reply|repondre|antworten)(?:[+=-].*)?@.*")
_VACATION = re.compile(
    r"(?:re: )?(?:\[?auto(?:matic|mated)?[- ]?(?:reply|response|antwort|svar|reponse|réponse)|"
    r"out of (?:the )?office|ooo\b|"
    r"auto(?=:)|away from (?:the |my )?office|"
    r"on (?:vacation|annual leave)|vacation (?:reply|response|message)|"
    r"automatische antwort|abwesenheits|abwesend|nicht im büro|réponse automatique|absence du bureau|absent|"
    r"message d['’]absence|respuesta automática|fuera de (?:la )?oficina|ausente|risposta automatica|"
    r"fuori (?:sede|ufficio)|"
    r"assente|resposta automática|fora do escritório|automatisch(?:e)? antwoord|afwezig|niet aanwezig|"
    r"automatisk[t]? svar|frånvaro|fravær|ikke til stede|automaattinen vastaus|poissa|odpowiedź automatyczna|"
    r"automatyczna odpowiedź|nieobecność|automatická odpověď|automatická odpoveď|automatikus válasz|otomatik yanıt|"
    r"răspuns automat|αυτόματη απάντηση|автоответ|автоматический ответ|автоматична відповідь|автоматичен отговор|"
    r"automatski odgovor|samodejni odgovor|automaatvastus|balasan otomatis|自动回复|自動回覆|自動応答|不在|"
    r"자동 회신|부재중|"
    r"תשובה אוטומטית|מענה אוטומטי|رد تلقائي|خارج المكتب)",
    re.IGNORECASE,
)
# The prefix that such programs write, up to its colon. "Out of office hours?" is a person's question.
_PREFIX = re.compile(r"[^:：]{2,40}[:：]\s")
_IN_SUBJECT = re.compile(
    r"\b(?:is|am) (?:currently )?(?:out of (?:the )?office|on (?:vacation|leave|holiday))\b", re.IGNORECASE
)


def why_automatic(email: Part, *, sender: str | None, envelope_sender: str | None = None) -> Reason | None:
    """Return why an email is automatic, or None if a person seems to have written it.

    Args:
        email: the whole email.
        sender: the address in From.
        envelope_sender: "" in bounces and automatic replies; None if unknown.
    """
    if email.media_type == "multipart/report" and email.parameter("report-type") != "disposition-notification":
        return Reason.BOUNCE
    submitted = decoding.header(email.first("auto-submitted")).partition(";")[0].strip().lower()
    if submitted not in ("", "no"):
        return Reason.AUTO_SUBMITTED
    if email.media_type == "multipart/report":
        return Reason.AUTO_REPLY_HEADER  # a read receipt
    if any(_is_auto_reply_header(name, value) for name, value in email.fields):
        return Reason.AUTO_REPLY_HEADER
    if is_server(sender) or (sender is not None and _BOUNCES.fullmatch(sender)):
        return Reason.MAILER_DAEMON
    return_path = email.first("return-path")
    if envelope_sender == "" or (return_path is not None and NO_RETURN.fullmatch(decoding.header(return_path))):
        return Reason.EMPTY_SENDER
    return _why_by_circulation(email, sender)


def _why_by_circulation(email: Part, sender: str | None) -> Reason | None:
    said = email.first("precedence") or email.first("x-precedence") or email.first("preference")
    precedence = decoding.header(said).lower()
    if precedence in ("bulk", "junk", "auto_reply", "auto-reply", "autoreply"):
        return Reason.PRECEDENCE
    if precedence == "list" or any(email.first(name) is not None for name in _LIST_HEADERS):
        return Reason.MAILING_LIST
    suppress = {each.strip().lower() for each in decoding.header(email.first("x-auto-response-suppress")).split(",")}
    if suppress & {"all", "oof", "autoreply"}:
        return Reason.AUTO_RESPONSE_SUPPRESS
    return _why_by_subject(email, sender, is_suppressing=suppress != {""})


def _why_by_subject(email: Part, sender: str | None, *, is_suppressing: bool) -> Reason | None:
    # People also write such subjects ("Out of office hours?"), so the subject alone does not count.
    subject = decoding.header(email.first("subject"))
    if not _VACATION.match(subject):
        return None
    answers = email.first("in-reply-to") is not None
    is_first = subject[:3].lower() != "re:"  # a person's reply to an automatic email keeps its subject
    is_written_by_program = is_first and (_PREFIX.match(subject) is not None or _IN_SUBJECT.search(subject) is not None)
    if (
        is_suppressing
        or email.first("x-auto-response-suppress") is not None
        or (sender is not None and _NO_REPLY.fullmatch(sender))
        or (answers and email.first("references") is None)
        or (answers and is_written_by_program)
        or (subject[:5].lower() == "auto:" and _IN_SUBJECT.search(subject) is not None)
    ):
        return Reason.VACATION_SUBJECT
    return None


def _is_auto_reply_header(name: str, value: bytes) -> bool:
    if name in _AUTO_REPLY_HEADERS:
        return True
    if _NO_PROGRAMS.search(name) or not (name.startswith("x-") or _AUTO_REPLY_NAME.fullmatch(name)):
        return False
    if len(value) > _REPLY_VALUE_CHARACTERS:
        return _AUTO_REPLY_NAME.fullmatch(name) is not None
    said = decoding.header(value).strip().lower()
    if said in _NEGATIONS:
        return False
    return _AUTO_REPLY_NAME.fullmatch(name) is not None or _AUTO_REPLY_VALUE.search(said) is not None
