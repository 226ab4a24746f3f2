"""Where a reply ends and the quote begins."""

import time

import pytest

from shopbell.email import reply_text

MARKED = "\n> Which one?\n> Anna\n"
UNMARKED = "\n\nWhich one?\n\nAnna\n"

# As Thunderbird, Roundcube, Evolution, KMail and SOGo write them: the lines below are marked.
ABOVE_MARKS = [
    "Anna Beck schrieb am 04.05.26 um 10:11:",
    "Anna Beck a écrit le 04/05/2026 à 10:11 :",
    "Anna Beck ha scritto il 04/05/26 alle 10:11:",
    "Às 10:11 de 04/05/2026, Anna Beck escreveu:",
    "Op 04-05-2026 om 10:11 schreef Anna Beck:",
    "Anna Beck skrev den 2026-05-04 kl. 10:11:",
    "Dne 04. 05. 26 v 10:11 Anna Beck napsal(a):",
    "Anna Beck napísal(a) dňa 4. 5. 2026 o 10:11:",
    "W dniu 04.05.2026 o 10:11, Anna Beck pisze:",
    "2026. 05. 04. 10:11 keltezéssel, Anna Beck írta:",
    "Anna Beck kirjoitti 4.5.2026 klo 10.11:",
    "Anna Beck, 04.05.2026 10:11 tarihinde yazdı:",
    "Στις 4/5/26 10:11, ο/η Anna Beck έγραψε:",
    "04.05.2026 10:11, Anna Beck пишет:",
    "על 04/05/2026 10:11, ‏Anna Beck כתב:",
    "على 04/05/2026 10:11، كتب Anna Beck:",
    "2026/05/04 10:11、Anna Beckさんは書きました:",
    "在 2026/5/4 10:11, Anna Beck 写道:",
    "2026-05-04 10:11에 Anna Beck 이(가) 쓴 글:",
    "เมื่อ 2026-05-04 10:11, Anna Beck เขียน:",
    "Vào lúc 10:11 04/05/2026, Anna Beck đã viết:",
    "2026-05-04 10:11, Anna Beck idatzi zuen:",
    "२०२६-०५-०४ १०:११ पर, Anna Beck ने लिखा:",  # digits of their own
    "٤/٥/٢٠٢٦ ١٠:١١ كتب Anna Beck:",
    "Quoting Anna Beck <anna@shop.example>:",
    "Anna Beck <anna@shop.example> [2026-05-04 10:11]:",
    "Anna Beck wrote:",
    "Monday, May 4, 2026, 10:11:00 AM, you wrote:",
    "---- Anna Beck parašė ----",
    "2011/4/7 Anna Beck <anna@shop.example>",
]

# As Gmail, Yahoo, Apple Mail, Proton, Mail.ru, Yandex, QQ, Tutanota and GroupWise write them: nothing is marked.
ALONE = [
    "On Mon, May 4, 2026 at 10:11 AM Anna Beck <anna@shop.example> wrote:",
    "On Mon, May 4, 2026 at 10:11 AM Anna Beck from the Shop of the Long Name\n<anna@shop.example> wrote:",
    "On Mon, 4 May 2026 at 10:11, Anna Beck\n<anna@shop.example<mailto:anna@shop.example>> wrote:",
    "On 4 May 2026, at 10:11, Anna Beck <\nanna@shop.example> wrote:",
    "Am Mo., 4. Mai 2026 um 10:11 Uhr schrieb Anna Beck <anna@shop.example>:",
    "Le lun. 4 mai 2026 à 10:11, Anna Beck <anna@shop.example> a écrit :",
    "El lun, 4 may 2026 a las 10:11, Anna Beck (<anna@shop.example>) escribió:",
    "Il giorno lun 4 mag 2026 alle ore 10:11 Anna Beck <anna@shop.example> ha scritto:",
    "Em seg., 4 de mai. de 2026 às 10:11, Anna Beck <anna@shop.example> escreveu:",
    "pon., 4 maj 2026 o 10:11 Anna Beck <anna@shop.example> napisał(a):",
    "po 4. 5. 2026 v 10:11 odesílatel Anna Beck <anna@shop.example> napsal:",
    "Den man. 4. maj 2026 kl. 10.11 skrev Anna Beck <anna@shop.example>:",
    "ma 4. toukok. 2026 klo 10.11 Anna Beck (anna@shop.example) kirjoitti:",
    "Anna Beck <anna@shop.example> ezt írta (időpont: 2026. máj. 4., H, 10:11):",
    "Anna Beck <anna@shop.example>, 4 May 2026 Pzt, 10:11 tarihinde şunu yazdı:",
    "Στις Δευ 4 Μαΐ 2026 στις 10:11 π.μ., ο χρήστης Anna Beck <anna@shop.example> έγραψε:",
    "пн, 4 мая 2026 г. в 10:11, Anna <anna@shop.example>:",
    '04.05.2026, 10:11, "Anna" <anna@shop.example>:',
    "Понедельник, 4 мая 2026, 10:11 +03:00 от Anna <anna@shop.example>:",
    "ב-יום ב׳, 4 במאי 2026 ב-10:11 מאת Anna Beck <‪anna@shop.example‬‏>:",
    "في الاثنين، 4 مايو 2026 في 10:11 ص تمت كتابة ما يلي بواسطة Anna Beck <anna@shop.example>:",
    "2026年5月4日(月) 10:11 Anna Beck <anna@shop.example>:",
    "Anna Beck <anna@shop.example> 于2026年5月4日周一 10:11写道：",
    "2026년 5월 4일 (월) 오전 10:11, Anna Beck <anna@shop.example>님이 작성:",
    "Vào Th 2, 4 thg 5, 2026 vào lúc 10:11 Anna Beck <anna@shop.example> đã viết:",
    "Pada Sen, 4 Mei 2026 pukul 10.11 Anna Beck <anna@shop.example> menulis:",
    "เมื่อ จ. 4 พ.ค. 2026 เวลา 10:11 Anna Beck <anna@shop.example> เขียนว่า:",
    "2026-05-04 10:11 GMT+02:00 Anna <anna@shop.example>:",
    "May 4, 2026, 10:11 by anna@shop.example:",
    "Op Ma, 2026-05-04 om 10:11 +0200 skryf Anna Beck:",  # a language of which no word is known
    ">>> Anna Beck <anna@shop.example> 04.05.2026 10:11 >>>",
    "------- Original Message -------\nOn Monday, May 4th, 2026 at 10:11 AM, Anna Beck <anna@shop.example> wrote:",
    "--- On Mon, 5/4/26, Anna <anna@shop.example> wrote:",
    "---- En lun, 04 may 2026 10:11:00 +0200 Anna <anna@shop.example> escribió ----",
    "------On 12/29/2026 17:32 PM, Anna Beck wrote-----",
    "On Mon, 4 May 2026 10:11:00 +0200 Anna Beck <anna@shop.example> wrote",
]

BLOCKS = [
    'Gesendet: Montag, 4. Mai 2026 um 10:11 Uhr\nVon: "Laden" <laden@shop.example>\n'
    "An: tom@mail.example\nBetreff: Order",
    "Lähettäjä: Anna <anna@shop.example>\nLähetetty: maanantai 4. toukokuuta 2026 10.11\n"
    "Vastaanottaja: Tom\nAihe: Order",
    "Kimden: Anna <anna@shop.example>\nGönderildi: 4 Mayıs 2026 Pazartesi 10:11\nKime: Tom\nKonu: Order",
    "差出人: Anna <anna@shop.example>\n送信日時: 2026年5月4日 10:11\n宛先: Tom\n件名: Order",
    "发件人： Anna <anna@shop.example>\n发送时间： 2026年5月4日 10:11\n收件人： Tom\n主题： Order",
    "Ад каго: Anna <anna@shop.example>\nЧас: 04.05.2026 10:11\n"
    "Каму каму: tom@mail.example\nПра што: Order",  # no known label
    "Sendandulo: Anna Beck\nTago: 4. 5. 2026 10:11\nRicevulo: Tom Beck\nPri kio: Order",  # nor an address
    "*From:* Anna Beck\n*Sent:* Monday, 4 May 2026 10:11\n*To:* Tom Beck\n*Cc:* Bob\n*Subject:* Order",
    "Date: Mon, 4 May 2026 10:11:00 +0200\nSubject: Order\nFrom: anna@shop.example\nTo: tom@mail.example",
    "From: Anna [mailto:anna@shop.example]\nSent: Monday, May 04, 2026 10:11 AM\n"
    "To: Tom;\n Bob <bob@mail.example>\nSubject: Order",
    "-----Reply Message-----\nFrom: Anna <anna@shop.example>\n"
    "Sent: 4 May 2026 10:11\nTo: tom@mail.example\nSubject: Order",
    "-----Antwort-----\nVon: Anna <anna@shop.example>\nGesendet: Montag, 4. Mai 2026 10:11\nAn: Tom\nBetreff: Order",
    "________________________________\nFrom: anna@shop.example Date: Mon, 4 May 2026 10:11:00 +0200",
    "Date: Wed, 16 May 2012 00:15:02 -0600\nTo: anna@shop.example",
]

FORWARDS = [
    "---------- Forwarded message ---------\nFrom: A <a@x.example>\nDate: Mon, May 4, 2026 at 10:11 AM\n\n"
    "Text\n-- \nA\nB",
    "---------- Weitergeleitete Nachricht ---------\nVon: A <a@x.example>\nDate: Mo., 4. Mai 2026 um 10:11 Uhr\n\nText",
    "-------- Weitergeleitete Nachricht --------\nBetreff: \tR\nDatum: \tMon, 4 May 2026 10:11\n"
    "Von: \tA <a@x.example>\n\nText",
    "----- Message transféré -----\nDe: A <a@x.example>\nÀ: b <b@x.example>\nEnvoyé: Lundi 4 Mai 2026 10:11:00\n\nText",
    '---------- Пересылаемое сообщение ----------\n04.05.2026, 10:11, "A" <a@x.example>:\n\nText',
    "---------- 转发的邮件 ----------\n发件人： A <a@x.example>\n发送时间： 2026年5月4日 10:11\n\nText",
    "============ Forwarded message ============\nFrom: A <a@x.example>\nDate: Mon, 04 May 2026 10:11:00 +0200\n\nText",
    "Begin forwarded message:\n\n> From: A <a@x.example>\n> Subject: R\n> Date: 4 May 2026\n>\n> Text",
    "> Anfang der weitergeleiteten Nachricht:\n> \n> Von: A <a@x.example>\n> Betreff: R\n>\n> Text",
    "Inizio messaggio inoltrato:\n\nDa: A <a@x.example>\nOggetto: x\nData: 4 maggio 2026\n\nText",
]
FORWARD_SUBJECTS = ["FW: R", "Fwd: R", "WG: R", "TR: R", "RV: R", "I: R", "ENC: R", "VB: R", "PD: R", "转发: R"]

OWN_WORDS = [
    "Hi,\n\nI ordered on 4 May 2026 at 10:11:\n2 red chairs\n1 table\n\nWhen do they come?",
    "Hallo,\nam 3. Mai hat mir Ihre Kollegin geschrieben:\nDie Ware kommt am Freitag. Sie ist nicht da.\nWas nun?",
    "Hallo,\n\nam 04.05.2026 um 10:11 Uhr habe ich Ihnen geschrieben:\nDie Ware kommt am Freitag.\nWas nun?",
    "Hello,\n\nyour colleague Anna wrote:\nThe goods come on Friday.\nThey did not.",
    "Hello,\n\nOn 4 May 2026 at 10:11 I wrote:\nplease cancel order 4711.\nNothing happened.",
    "Bonjour,\n\nLe 4 mai 2026 à 10:11 j'ai écrit :\nannulez la commande.",
    "Hello,\n\nOn 4 May 2026 at 10:11 I wrote to anna@shop.example:\nplease cancel order 4711.\nNothing happened.",
    "Anna <anna@shop.example> told me on the phone:\nno problem.\nBut it is one.",
    "Name: Tom Beck\nEmail: tom@mail.example\nOrder: 4711\nDate: 04.05.2026\n\nPlease cancel.",
    "My data.\n\nName: Tom Beck\nE-Mail: tom@mail.example\nTermin: 04.05.2026 10:00\nTelefon: 0170 1234567",
    "Booking:\n\nVon: Berlin\nNach: Hamburg\nDatum: 04.05.2026 10:11\nPersonen: 2",
    "Rates:\n\nFrom: 4 May 2026 10:00\nTo: 6 May 2026 10:00\nRoom: double\n\nIs it free?",
    "Check-in: 4 May 2026 15:00\nCheck-out: 6 May 2026 11:00\nEmail: tom@mail.example\n\nIs it free?",
    "Betreff: Bestellung 4711\nVon: Tom Beck\nAn: Laden\n\nBitte stornieren.",
    "----- My address -----\nName: Tom\nStreet: Long Road 5\nEmail: tom@mail.example\n\nThanks",
    "Log:\n2026-05-04 10:11:00 Error: no answer from anna@shop.example:\n2026-05-04 10:12:00 Retry:\nHelp!",
    "Please forward this to the warehouse:\nThe chair is broken.\n\nThanks",
    "Option A: red\n--\nOption B: blue",
    'He said: "yes"\n\n--\n\nShe said: "no"',
    "3 > 2\n> is what I said\nand 4 > 3",
    "Les horaires :\nlundi 4 mai 2026 de 10:00 à 12:00 :\nouvert ?",
    "I cannot open it.\n\nSent from my iPhone, so I cannot attach the invoice.",
    "The parcel is late.\n\nSent from Munich on 3 May",
    "Which phone?\n\nMy phone is an iPhone.",
    "Es geht nicht.\n\nVon meinem alten Konto gesendet, bitte nicht mehr verwenden.",
    "The invoice?\n\nSent by email on Monday.",
    "The photos?\n\nSent via the app on Monday",
    "Die Unterlagen:\n\nIch habe sie per E-Mail gesendet.",
    "La facture :\n\nEnvoyée par mail hier.",
    "Hallo\n\nGesendet wurde das Paket am 3. Mai.",
    "Le colis :\n\nEnvoyé de Paris le 3 mai.",
    "Il pacco è stato inviato dal magazzino il 3 maggio.",
]

TELEPHONES = [
    "Sent from my iPhone",
    "Sent from my Samsung Galaxy S7, an AT&T 4G LTE smartphone",
    "Sent from my Android device with K-9 Mail. Please excuse my brevity.",
    "Sent from TypeApp<http://www.app.example/r?b=1>",
    "Sent from Mail<https://go.example/fwlink/?LinkId=550986> for Windows 10",
    "Sent with Proton Mail secure email.",
    "Get Outlook for iOS<https://aka.example/o0ukef>",
    "Von meinem iPhone gesendet",
    "Diese Nachricht wurde von meinem Android-Gerät mit GMX Mail gesendet.",
    "Envoyé de mon mobile Orange",
    "Envoyé à partir d'Outlook pour Android",
    "Enviado desde mi iPhone",
    "Enviado do Yahoo Mail no Android",
    "Inviato dal mio Huawei",
    "Verstuurd vanaf Outlook voor iOS",
    "Sendt fra min iPad",
    "Skickades från E-post för Windows",
    "Lähetetty iPhonesta",
    "Wysłane z iPhone'a",
    "Odesláno z iPhonu",
    "Küldve az iPhone-omról",
    "iPhone'umdan gönderildi",
    "Trimis de pe iPhone-ul meu",
    "Отправлено из мобильной Почты Mail.ru",
    "Надіслано з iPhone",
    "Στάλθηκε από το iPhone μου",
    "נשלח מה-iPhone שלי",
    "أُرسلت من الـ iPhone",
    "iPhoneから送信",
    "发自我的iPhone",
    "나의 iPhone에서 보냄",
    "Được gửi từ iPhone của tôi",
    "ส่งจาก iPhone ของฉัน",
]


@pytest.mark.parametrize("heading", ABOVE_MARKS)
def test_a_heading_above_quoted_lines_is_removed_with_them(heading: str) -> None:
    assert reply_text.cut(f"Yes please.\n\n{heading}{MARKED}") == "Yes please."
    assert reply_text.cut(f"{heading}{MARKED}\nYes please.") == "Yes please."


@pytest.mark.parametrize("heading", [*ALONE, *BLOCKS])
def test_a_heading_ends_the_reply_where_nothing_is_quoted(heading: str) -> None:
    assert reply_text.cut(f"Yes please.\n\n{heading}{UNMARKED}", "Re: Order") == "Yes please."


@pytest.mark.parametrize("heading", [*ALONE[:-1], *BLOCKS])
def test_quote_marks_below_a_heading_do_not_matter(heading: str) -> None:
    assert reply_text.cut(f"Yes please.\n\n{heading}{MARKED}", "Re: Order") == "Yes please."


@pytest.mark.parametrize("text", FORWARDS)
@pytest.mark.parametrize("subject", ["Fwd: R", "Re: R", "R"])
def test_a_forwarded_email_is_kept_completely(text: str, subject: str) -> None:
    assert reply_text.cut(f"Please look.\n\n{text}", subject) == f"Please look.\n\n{text}"


@pytest.mark.parametrize("subject", FORWARD_SUBJECTS)
def test_a_forwarded_email_can_be_recognised_by_its_subject(subject: str) -> None:
    text = f"Please look.\n\n________________________________\n{BLOCKS[7]}\n\nText"
    assert reply_text.cut(text, subject) == text
    assert reply_text.cut(text, f"Re: {subject}") == "Please look."


@pytest.mark.parametrize("text", OWN_WORDS)
def test_a_customers_own_words_stay(text: str) -> None:
    assert reply_text.cut(text, "Re: Order") == text
    assert reply_text.cut(f"{text}\n\n{ALONE[0]}{UNMARKED}", "Re: Order") == text


@pytest.mark.parametrize("line", TELEPHONES)
def test_a_phone_signature_is_removed(line: str) -> None:
    assert reply_text.cut(f"Yes please.\n\n{line}\n") == "Yes please."
    assert reply_text.cut(f"Yes please.\n\n{line}\n\n{ALONE[0]}{MARKED}") == "Yes please."
    assert reply_text.cut(f"Yes please.\n\n{ALONE[0]}{MARKED}\n{line}") == "Yes please."
    assert reply_text.cut(f"{ALONE[0]}{MARKED}\nYes please.\n\n{line}") == "Yes please."


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        # A server has broken a marked line, or a program the link in it.
        ("> Please choose one of the colours that we have in stock at the\nmoment, thank you.\n> Anna", ""),
        ("> See\n(http://shop.example/c/YzOTYzMmE) >\n> Anna", ""),
        ("> See (http://shop.example/action\n_nonce=3dd518)\n>\n> Anna", ""),
        # What was only signed below the quote answers nothing in it.
        ("> Which one?\n\nRegards, Tom", "Regards, Tom"),
        # What answers each question stays with it.
        ("> Red?\nno\n> Blue?\n> Dark?\nyes", "> Red?\nno\n\n> Blue?\n> Dark?\nyes"),
    ],
)
def test_of_a_quote_only_the_answered_lines_stay(text: str, answer: str) -> None:
    heading = "On 4 May 2026 Anna <anna@shop.example> wrote:"
    assert reply_text.cut(f"Yes please.\n\n{heading}\n\n{text}") == f"Yes please.\n\n{answer}".strip()


def test_a_reply_and_a_heading_can_share_a_line() -> None:
    for answer in ("Hello\nYes please", "Hello\nYes - please---"):
        text = f"{answer} On Wed, Apr 4, 2026 at 3:59 PM, anna@shop.example wrote:\n> Which one?"
        assert reply_text.cut(text) == answer.rstrip("-")


def test_a_heading_inside_a_quote_does_not_start_it() -> None:
    nested = "> Which one?\n>\n> On 3 May 2026, at 9:00, Tom <tom@mail.example> wrote:\n>> Two please\n"
    assert reply_text.cut(f"Yes please.\n\n{nested}") == "Yes please."
    block = "".join(f"> {line}\n" for line in BLOCKS[8].split("\n"))
    assert reply_text.cut(f"Yes please.\n\n{block}>\n> Which one?") == "Yes please."


SLOW = {
    "labels": "From: x@y.zz 4 May 2026 10:11\n" * 5_000,
    "long labels": ("From: " + "x@y.zz " * 70 + "\n") * 5_000,
    "dashes": ("-" * 499 + "\n") * 5_000,
    "words between dashes": ("-- a" + " a" * 200 + " --\n") * 5_000,
    "dates": ("4.5.2026 " * 50 + ":\n") * 5_000,
    "sentences in pieces": "4 May 2026 10:11\n<a@b.cc>\nwrote\n" * 2_000,
    "beginnings": ("On 1 " * 90 + " wrote:\n") * 5_000,
    "addresses": ("<x@" * 160 + ":\n") * 5_000,
    "open brackets": "<\n> a@\n" * 3_000,
    "telephones": ("Sent from " * 45 + "\n") * 5_000,
    "marks of signatures": "x\n\n--\na\n" * 2_000,
    "words of forwards": ("-- " + "forward " * 10 + "\n") * 5_000,
    "blanks": (" " * 499 + ":\n") * 5_000,
    "stars": ("*" * 499 + ":\n") * 5_000,
}


@pytest.mark.parametrize("name", SLOW)
def test_a_hostile_text_is_parsed_in_bounded_time(name: str) -> None:
    begin = time.process_time()
    reply_text.cut(SLOW[name], "Re: x")
    assert time.process_time() - begin < 3
