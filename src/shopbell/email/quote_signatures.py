"""Recognize lines that phones and email programs add, such as "Sent from my iPhone"."""

import re

_CHARACTERS_MAX = 120
_WORDS_MAX = 14
_WORDS_BEFORE_MAX = 4
_LINK = re.compile(r"[<(\[]?\b(?:https?://|www\.)\S{3,400}[>)\]]?")
_SENT = re.compile(
    r"(?:(?:this )?(?:e-?mail |message |was )*sent (?:from|via|with|using|on)\b|get outlook for\b|get bluemail\b|"
    r"(?:diese (?:nachricht|e-?mail) wurde )?(?:von|mit|über|aus) .{1,70} (?:gesendet|verschickt|versendet|"
    r"geschickt)\b|"
    r"(?:gesendet|verschickt|versendet|geschickt) (?:von|mit|über|aus|vom|via)\b|"
    r"(?:holen sie sich|hol dir|beziehen sie) outlook|outlook für .{1,20} (?:beziehen|herunterladen|holen)|"
    r"envoyée? (?:de|du|depuis|à partir|avec|via|d['’])|(?:télécharge[rz]|obtenir|obtenez) outlook|"
    r"enviad[oa] (?:desde|do|da|de|via|vía|a partir|a través|con|mediante)\b|(?:obtener|obtén|descargar) outlook|"
    r"(?:obter o|baixar o|obtenha o|obter) outlook|inviat[oa] (?:da|dal|dall|con|tramite|via)|"
    r"(?:scarica|ottieni) outlook|(?:verzonden|verstuurd|verstuur) (?:vanaf|met|via|vanuit|van|door)\b|"
    r"(?:outlook voor|download outlook)|(?:sendt|sent) (?:fra|via|med|frá|úr)\b|skickat? (?:från|via|med)\b|"
    r"skickades från\b|(?:hent|hämta|skaff) outlook|lähetetty\b|hanki outlook|saadetud\b|nosūtīts no\b|"
    r"(?:iš)?siųsta (?:iš|naudojant|su)\b|wysłan[eoy] (?:z|ze|przez|za pomocą|za pośrednictwem)\b|pobierz outlook|"
    r"(?:odesláno|odesl[aá]no|odoslané|poslané|poslano|poslato|послато|послано) (?:z|ze|zo|s|sa|iz|od|preko|са|из)\b|"
    r"získejte outlook|trimis (?:de pe|din|de la|cu|prin)\b|descărcați outlook|"
    r"(?:отправлено|написано|надіслано|відправлено|изпратено|надіслана) (?:с|со|из|через|з|із|за|от|чрез|"
    r"при помощи)\b|"
    r"(?:στάλθηκε|εστάλη|απεστάλη) (?:από|μέσω|με)\b|λήψη του outlook|enviat (?:des|amb|de)\b|"
    r"(?:el)?küldve\b|(?:dikirim|dihantar) (?:dari|daripada|melalui)\b|(?:được )?gửi từ\b|(?:ส่ง|ส่งข้อความ)จาก|"
    r"נשלח (?:מ|באמצעות)|"
    r"أ?ُ?رسلت? من\b|تم الإرسال (?:من|بواسطة)|مرسل من|(?:احصل|الحصول) على outlook|تنزيل outlook|"
    r"(?:ارسال|فرستاده) شده از|发自|發自|从我的.{1,40}(?:发送|傳送)|從我的.{1,40}(?:发送|傳送|寄出)|"
    r"(?:获取|取得).{0,20}outlook|outlook for .{1,20}を(?:入手|取得))",
    re.IGNORECASE,
)
_SENT_BEHIND = re.compile(
    r"(?:küldve|küldtem|gönderildi|gönderilmiştir|yollandı|から送信|から送信されました|에서 보냄|"
    r"에서 보낸 메일입니다|에서 전송됨|भेजा गया)[.。]?",
    re.IGNORECASE,
)
# Such a line names a device, a program or a provider. Without one, it is the customer's own sentence.
_BRAND = re.compile(
    r"(?<![A-Za-zÀ-ÿ])(?:i(?:phone|pad|pod|os|cloud|mac|watch)\w*|android\w*|samsung\w*|galaxy|huawei|xiaomi|redmi|nokia|"
    r"blackberry\w*|windows|outlook\w*|yahoo!?|gmail|hotmail|proton\w*|gmx|web\.de|mail\.ru|ukr\.net|t-online|aol|k-9|"
    r"fairemail|thunderbird|airmail|zoho|oppo|oneplus|pixel|htc|lg|sony|xperia|motorola|superhuman|tapatalk|verizon|"
    r"at&t|t-mobile|telekom|vodafone|sfr|lte|4g|5g|macbook|ไอโฟน)(?![^\W_])|\w(?:mail|app)(?!\w)",
    re.IGNORECASE,
)
# Names that are also ordinary words must be capitalized; "TypeApp" and "myMail" have a capital inside.
_NAME = re.compile(
    r"\b(?:Nine|Spark|HEY|Canary|Edison|Honor|Vivo|Orange|Free|Hub|Aqua|Mac)\b|\b(?:[A-Z][a-z]+|[a-z]+)[A-Z]\w*"
)
# "My phone" is a device; "via the app" and "by phone" may belong to the customer's sentence.
_DEVICE = re.compile(
    r"(?<![^\W_])(?:(?:smart|mobil|cell ?)?(?:tele)?(?:phone|fon|foon|telefon)\w*|mobile?\w*|mobiel\w*|handy|handset|"
    r"tablet\w*|tablette|device|gerät|appareil|dispositivo|dispositiu|apparaat|enhet\w*|enhed\w*|celular|móvil\w*|"
    r"movil|telemóvel|téléphone|teléfono|telefone|cellulare|portable|puhelim\w*|kännykä\w*|komór\w*|мобильн\w*|"
    r"телефон\w*|устройств\w*|смартфон\w*|κινητό|app|mac|pc|laptop|desktop|手机|手機|スマートフォン|الهاتف|هاتفي\w*|جوال\w*)"
    r"(?![^\W_])",
    re.IGNORECASE,
)
_MY = re.compile(
    r"(?<![^\W_])(?:my|mein\w*|mon|ma|mi|meu|minha|mio|mia|mijn|min|mit|mitt|mina|moj\w*|mého|môjho|мо\w{1,4}|meu|saya)"
    r"(?![^\W_])|我的|私の|나의|μου|שלי",
    re.IGNORECASE,
)
_EXCUSE = re.compile(
    r"\b(?:please )?(?:excuse|pardon|forgive) (?:my |the |any )?(?:brevity|typos?|mistakes|errors)\b.*", re.IGNORECASE
)
_CLAUSE = re.compile(r"[,;:!?！？，。](?=\s|$)|\.\s")


def is_signature(line: str) -> bool:
    """Return whether a device or a program added a line.

    "Sent from my old flat, so please use the new address" is not such a line: it names no device, and it continues.

    Args:
        line: one line without surrounding whitespace.
    """
    said = _EXCUSE.sub("", _LINK.sub(" ", line)).strip(" \t-–—_*<>()[]")
    if not said or len(said) > _CHARACTERS_MAX or len(said.split()) > _WORDS_MAX:
        return False
    is_sent = _SENT.match(said) is not None
    if not is_sent and (len(said.split()) > _WORDS_BEFORE_MAX or not _SENT_BEHIND.search(said[-40:])):
        return False
    first, *others = _CLAUSE.split(said.rstrip(" .。"))
    if not _names_device(first) and _LINK.search(line) is None:
        return False
    # "…, an AT&T LTE smartphone" describes the device; any other clause is the customer's.
    return all(len(other.split()) <= 6 and _names_device(other) for other in others if other.strip())


def _names_device(text: str) -> bool:
    if _BRAND.search(text) is not None or _NAME.search(text) is not None:
        return True
    return _DEVICE.search(text) is not None and _MY.search(text) is not None
