"""How mail programs of many languages begin what they quote: words and forms, each for one line."""

import re

UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Marks that programs put around names and addresses."""

WROTE_BEGIN = re.compile(
    r"(?:on|am|le|el|il|em|no dia|op|den|dne|dnia|w dniu|a|à|في|بتاريخ)\b",
    re.IGNORECASE,
)
"""The first word of "On 3 May 2026 Alice wrote:"."""

WROTE = re.compile(
    r"wrote|schrieb|geschrieben|a écrit|écrit|escribió|ha scritto|scritto|escreveu|schreef|geschreven|"
    r"كتب|تمت كتابة|كتابة ما يلي|skrev|napsal|napisał|写道|寫道|작성|年\d{1,2}月\d{1,2}日",
    re.IGNORECASE,
)
"""Its verb, wherever in the sentence."""

_SENDER = (
    r"from|von|de|da|van|expéditeur|remitente|mittente|remetente|afzender|من|fra|från|od|发件人|差出人|보낸\s?사람"
)
_TIME = (
    r"sent|date|gesendet|datum|envoyé|envoyé le|date d'envoi|enviado|enviado el|enviado em|enviada em|"
    r"fecha|data|inviato|"
    r"verzonden|verstuurd|تاريخ الإرسال|تم الإرسال|التاريخ|تاريخ|أرسلت|"
    r"sendt|skickat|wysłano|发送时间|送信日時|보낸\s?날짜"
)
_RECIPIENT = r"to|an|à|a|para|aan|إلى|الى|til|till|do|收件人|宛先|받는\s?사람"
_TOPIC = r"subject|betreff|objet|asunto|oggetto|assunto|onderwerp|الموضوع|موضوع|emne|ämne|temat|主题|件名|제목"

_FORM = r"[ \t>*_]{{0,20}}(?:{words})[ \t\u00a0*_]{{0,5}}[:：]"
SENDER = re.compile(_FORM.format(words=_SENDER), re.IGNORECASE)
OTHER_LABELS = tuple(re.compile(_FORM.format(words=words), re.IGNORECASE) for words in (_TIME, _RECIPIENT, _TOPIC))
"""The lines of the block "From: … Sent: … To: … Subject: …"."""

ORIGINAL = re.compile(
    r"[ \t>]{0,20}[-_]{2,20} ?(?:original message|original appointment|ursprüngliche nachricht|originalnachricht|"
    r"message d['’]origine|message original|mensaje original|messaggio originale|mensagem original|"
    r"oorspronkelijk bericht|الرسالة الأصلية|رسالة أصلية|"
    r"opprinnelig melding|oprindelig meddelelse|ursprungligt meddelande"
    r") ?[-_]{2,20}",
    re.IGNORECASE,
)
FORWARDED = re.compile(
    r"[ \t>]{0,20}(?:[-_]{2,20} ?)?(?:begin forwarded message|forwarded message|weitergeleitete nachricht|"
    r"anfang der weitergeleiteten nachricht|message transféré|début du message réexpédié|début du message transféré|"
    r"mensaje reenviado|inicio del mensaje reenviado|messaggio inoltrato|inizio messaggio inoltrato|"
    r"mensagem encaminhada|início da mensagem encaminhada|início da mensagem reencaminhada|doorgestuurd bericht|"
    r"begin doorgestuurd bericht|رسالة معاد توجيهها|رسالة مُعاد توجيهها|بدء الرسالة المُعاد توجيهها)"
    r" ?(?:[-_]{2,20}|:)",
    re.IGNORECASE,
)

PHONE_SIGNATURE = re.compile(
    r"(?:sent from (?:my|outlook|mail|yahoo|samsung|the all|a )|sent (?:via|with) |get outlook for|get bluemail|"
    r"von meinem .{1,60} gesendet|gesendet (?:von|mit|über) |diese nachricht wurde von meinem|"
    r"(?:holen sie sich|hol dir|beziehen sie) outlook|outlook für .{1,20} (?:beziehen|herunterladen|holen)|"
    r"envoyé (?:de|depuis|à partir|avec) |télécharger outlook|obtenir outlook|obtenez outlook|"
    r"enviado (?:desde|do|da|de|via|a partir) |enviada? (?:desde|do|da) |(?:obtener|obtén|descargar) outlook|"
    r"obter o outlook|baixar o outlook|obtenha o outlook|"
    r"inviato da|inviata da|(?:scarica|ottieni) outlook|"
    r"verzonden (?:vanaf|met|via|vanuit) |verstuurd (?:vanaf|met|via) |(?:outlook voor|download outlook)|"
    r"أ?ُ?رسلت? من |تم الإرسال من|مرسل من |احصل على outlook|الحصول على outlook|تنزيل outlook)",
    re.IGNORECASE,
)
