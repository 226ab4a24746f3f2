"""Words that email programs write around quoted text, in many languages."""

import re

UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Invisible characters that programs put around names and addresses."""

WROTE_BEGIN = re.compile(
    r"(?:on|am|le|el|il|em|no dia|op|den|dne|dňa|dnia|w dniu|a|à|às|la|în|în data de|στις|na|v|pe|på|у|в|на|"
    r"vào|pada|في|بتاريخ|على|כתב|ב|在|于|於)\b",
    re.IGNORECASE,
)
"""The first word of "On 3 May 2026 Alice wrote:"."""

_WROTE = (
    r"(?<!\w)(?:wrote|writes|sent|schrieb|schrieben|geschrieben|écrit|ecrit|escribió|escribio|escribía|"
    r"ha escrito|scritto|scrive|escreveu|escrito|schreef|geschreven|skrev|skrifaði|napsala?|napísala?|"
    r"napisał\(?a?\)?|napisała|pisze|piše|píše|napisao|napisala|napisal|je napisal\(?a?\)?|"
    r"kirjoitti|kirjutas|írta|írt|yazdı|yazmış|yazıyor|a scris|scris|rakstīja|rašė|parašė|va escriure|escrigué|"
    r"idatzi zuen|escribiu|menulis|đã viết|viết|έγραψε|γράψατε|писала?|пишет|написала?|написав|пише|писав|написа|"
    r"כתבה?|נכתב על ידי|كتبت?|تمت كتابة|كتابة ما يلي|نوشت)(?!\w)|"
    r"写道|寫道|写信|写到|書きました|が書いた|のメール|님이 작성|작성|썼습니다|wrote|님이 쓴 글|เขียน|ने लिखा"
)
WROTE = re.compile(_WROTE, re.IGNORECASE)
"""The verb of that sentence, at any position."""

WROTE_END = re.compile(rf"(?:{_WROTE})\W{{0,20}}\Z", re.IGNORECASE)
"""The verb at the end of the sentence."""

SENDER = re.compile(
    r"from|von|de|da|van|expéditeur|remitente|mittente|remetente|afzender|من|fra|från|frá|od|"
    r"lähettäjä|saatja|no|nuo|feladó|gönderen|kimden|de la|expeditor|από|от|від|מאת|dari|từ|จาก|odesílatel|"
    r"odosielateľ|"
    r"nadawca|šalje|pošiljatelj|发件人|寄件者|寄件人|差出人|送信者|보낸 ?사람|"
    r"absender|afsender|avsender|avsändare|nork|sendanto|از|"
    r"gửi từ|від кого",
    re.IGNORECASE,
)
TIME = re.compile(
    r"sent|date|date sent|gesendet|datum|envoyé|envoyé le|date d['’]envoi|enviado|enviado el|enviado em|enviada em|"
    r"fecha|data|inviato|verzonden|verstuurd|تاريخ الإرسال|تم الإرسال|التاريخ|تاريخ|أرسلت|sendt|dato|"
    r"dagsetning|skickat|wysłano|wysłane|odesláno|odoslané|dátum|elküldve|küldve|küldési idő|lähetetty|päiväys|"
    r"päivämäärä|saadetud|kuupäev|nosūtīts|datums|išsiųsta|gönderildi|gönderme tarihi|tarih|trimis|ημερομηνία|"
    r"στάλθηκε|отправлено|дата|надіслано|изпратено|נשלח|תאריך|terkirim|dikirim|tanggal|ngày|đã gửi|วันที่|ส่ง|"
    r"poslano|发送时间|发送日期|日期|寄件日期|日付|送信日時|日時|보낸 ?날짜|날짜",
    re.IGNORECASE,
)
RECIPIENT = re.compile(
    r"to|an|à|a|para|per|aan|إلى|الى|til|till|do|vastaanottaja|adressaat|kam|címzett|kime|alıcı|către|catre|προς|"
    r"кому|до|אל|kepada|ke|tới|đến|ถึง|komu|za|prima|destinatario|destinatário|destinataire|empfänger|odbiorca|"
    r"收件人|收件者|宛先|받는 ?사람|modtager|mottaker|mottagare|người nhận|nori|به|каму",
    re.IGNORECASE,
)
TOPIC = re.compile(
    r"subject|betreff|objet|asunto|oggetto|assunto|onderwerp|الموضوع|موضوع|emne|ämne|efni|temat|teema|tēma|temats|"
    r"tema|tárgy|konu|subiect|θέμα|тема|относно|נושא|perihal|subjek|chủ đề|เรื่อง|předmět|predmet|aihe|zadeva|"
    r"assumpte|gaia|主题|主旨|主題|件名|제목|tiêu đề|тэма|temo",
    re.IGNORECASE,
)
LABELS = (SENDER, TIME, RECIPIENT, TOPIC)
"""The labels of the block "From: … Sent: … To: … Subject: …"; match a whole label."""

ORIGINAL = re.compile(
    r"[ \t>]{0,20}[-_‐]{2,20} ?(?:original message|original appointment|reply message|ursprüngliche nachricht|"
    r"originalnachricht|original-nachricht|antwort nachricht|message d['’]origine|message original|"
    r"mensaje original|correo original|messaggio originale|"
    r"mensagem original|oorspronkelijk bericht|الرسالة الأصلية|رسالة أصلية|"
    r"opprinnelig melding|oprindelig meddelelse|oprindelig besked|ursprungligt meddelande|originalmeddelande|"
    r"alkuperäinen viesti|wiadomość oryginalna|oryginalna wiadomość|původní zpráva|pôvodná správa|eredeti üzenet|"
    r"orijinal ileti|özgün ileti|mesaj original|исходное сообщение|оригинальное сообщение|"
    r"пересланное письмо|αρχικό μήνυμα|"
    r"originaler nachricht|原始邮件|原邮件|原始郵件|元のメッセージ|원본 메시지|원본 메일"
    r") ?[-_‐]{2,20}",
    re.IGNORECASE,
)

_FORWARD = (
    r"forward|fwd|weitergeleitet|weiterleitung|transféré|réexpédié|reenviad|inoltrat|encaminhad|reencaminhad|"
    r"doorgestuurd|videresendt|vidaresend|vidarebefordra|välitetty|edelleenlähet|edastatud|przekazan|przesłan|"
    r"přeposlan|preposlan|továbbított|iletilen|yönlendiril|redirecționat|transmis|προωθημένο|пересл|пересыл|переадрес|"
    r"перенаправ|"
    r"препратен|proslijeđen|prosleđen|posredovan|pārsūtīt|persiųst|reenviat|chuyển tiếp|diteruskan|ส่งต่อ|"
    r"הועבר|ممرّ?ر|معاد توجيه|مُعاد توجيه|إعادة توجيه|转发|轉寄|轉發|転送|전달"
)
FORWARDED = re.compile(
    rf"[ \t>]{{0,20}}(?:[-_*=]{{2,20}} ?.{{0,60}}?(?:{_FORWARD}).{{0,60}}?[-_*=]{{2,20}}"
    rf"|(?:begin |anfang |début |inicio |inizio |início |始)?.{{0,40}}?(?:{_FORWARD}).{{0,40}}[:：])[ \t]*$",
    re.IGNORECASE,
)
"""The line above a forwarded email. Customers also use these words, so its typical end is required."""

FORWARD_SUBJECT = re.compile(
    r"\s*(?:fwd?|wg|tr|rv|enc|i|doorst|vb|vs|vl|pd|př|přep|tov|i̇lt|ilt|yml|πρθ|пересл|hb|הועבר|轉寄|转发|転送|전달|"
    r"إعادة توجيه)\s*[:：]",
    re.IGNORECASE,
)
"""The prefix of the subject of a forwarded email."""

SUBJECT_MARK = re.compile(r"(?:[^\W\d_]{1,6}(?:\[\d{1,3}\])?\s?[:：]\s*){1,5}")
"""The prefixes that programs add to a subject, such as "Re: Aw: "."""
