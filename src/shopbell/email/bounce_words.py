"""Patterns of bounces: the names, subjects and sentences that email servers use."""

import re

DAEMON = re.compile(
    r"(?:mailer[-_. ]?daemon|mail[-_. ]?daemon|post[-_. ]?master|mail[-_. ]?delivery[-_. ]?(?:system|subsystem|"
    r"service)?|"
    r"mdaemon|double-bounce|microsoftexchange[0-9a-f]*)",
    re.IGNORECASE,
)
"""The local part of a server's address, before "+" or "@"."""

DAEMON_NAME = re.compile(
    r"mailer[-_ ]?daemon|mail deliver(?:y)? (?:sub)?(?:system|service|agent)|postmaster|internet mail delivery|"
    r"mail (?:delivery )?(?:administrator|subsystem|system|server)|system administrator|delivery (?:sub)?system|"
    r"systemadministrator|administrateur système|amministratore di sistema|administrador del sistema|"
    r"jetmail system|content-filter at|interscan|courier mail server",
    re.IGNORECASE,
)
"""The display name of a server, or a name in place of an address."""

SUBJECT = re.compile(
    r"undeliver(?:ed|able)|not deliver(?:ed|able)|non[- ]?deliver(?:y|able)|could not be delivered|"
    r"mail delivery (?:failed|failure|system|problem|error|warning|status)|message delivery (?:has )?(?:failed|"
    r"failure)|"
    r"(?:mail|e-?mail|message) (?:system )?(?:error|failed|failure)|delivery (?:status|failure|failed|has failed|"
    r"error|"
    r"report|notification|problem|delayed|incomplete|unsuccessful)|permanent delivery|fail(?:ure|ed) (?:notice|"
    r"delivery|mail)|"
    r"return(?:ed|ing)[ _](?:mail|message|to sender)|delivery has failed|user unknown|unknown user|rejected mail|"
    r"error sending your mail|processing error|message you sent blocked|\[bounce\]|bounced mail|"
    r"warning: .{0,80}(?:delayed|not (?:yet )?(?:been )?sen[dt])|"
    r"warning: could not send|delayed mail|unzustellbar|nicht zugestellt|zustellung fehlgeschlagen|"
    r"übermittlung fehlgeschlagen|non[ _]remis|échec de la remise|échec de (?:la )?distribution|non distribué|"
    r"no se puede entregar|no se ha podido entregar|no entregado|entrega fallida|fallo (?:en la|de) entrega|"
    r"mancata consegna|non recapitabile|mancato recapito|consegna non riuscita|não (?:foi )?entregue|"
    r"falha (?:na|de) entrega|não é possível entregar|onbestelbaar|niet (?:af)?geleverd|niet bezorgd|"
    r"kan inte levereras|olevererbart|ikke leveres|kan ikke leveres|ei voitu toimittaa|toimittaminen epäonnistui|"
    r"nie (?:można|udało się) dostarczyć|niedostarczon|nelze doručit|nedoručiteln|nedoručen|kézbesíthetetlen|"
    r"sikertelen kézbesítés|teslim edilemedi|iletilemedi|nu (?:a fost|poate fi) livrat|не доставлен|недоставлен|"
    r"невозможно доставить|не удалось доставить|не доставлено|неможливо доставити|не е доставен|"
    r"メールエラー|配信エラー|"
    r"αδυναμία παράδοσης|δεν παραδόθηκε|لم يتم تسليم|تعذر التسليم|לא ניתן למסור|未送達|配信不能|送信できません|"
    r"邮件传输失败|退信|无法投递|未送达|無法傳遞|반송|전송 실패|배달되지 않음",
    re.IGNORECASE,
)

FAILED = re.compile(
    r"(?:could ?n[o']t|can ?not|can't|was ?n[o']t (?:able to )?|unable to|impossible to|has NOT been|"
    r"not able to be|failed to) ?"
    r"(?:be )?(?:deliver|send|sent|transmit)|were unable to deliver|have not been delivered|"
    r"was automatically rejected|"
    r"(?:permanent|fatal) (?:fatal )?(?:error|failure)|permanently failed|failed permanently|"
    r"delivery (?:has )?failed|"
    r"delivery to the following|did not (?:receive|reach)|did not like our|user unknown|unknown user|"
    r"unknown recipient|"
    r"no such (?:user|mailbox|address|recipient|person)|recipient (?:address )?(?:was )?(?:rejected|unknown|"
    r"not found)|"
    r"recipient name is not recognized|not listed in|"
    r"mailbox (?:is )?(?:unavailable|not found|full|disabled|inactive)|does not exist|address not found|"
    r"undeliver(?:able|ed)|over quota|quota exceeded|exceeded (?:the )?(?:storage|quota|maximum)|not enough space|"
    r"space not enough|account (?:has been |is )?(?:disabled|inactive|closed|suspended)|"
    r"mail(?:box)? has been returned|"
    r"mail has been returned|returned because|had (?:permanent )?(?:fatal errors|delivery problems)|"
    r"not accepting mail|"
    r"message not delivered|not delivered|host (?:unknown|not found)|unknown host|no valid recipients|"
    r"encountered delivery problems|"
    r"user not known|not (?:a )?(?:valid|known) (?:user|address|recipient|mailbox)|invalid (?:user|recipient|"
    r"mailbox)|relaying denied|access denied|message rejected|"
    r"nicht zugestellt|konnte nicht|existiert nicht|n'a pas (?:pu|été)|n'existe pas|no (?:existe|se pudo)|non esiste|"
    r"não (?:existe|pôde)|bestaat niet|не (?:доставлен|существует|найден)|не удалось",
    re.IGNORECASE,
)
"""An email was not delivered."""

GIVEN_UP = re.compile(
    r"giv(?:en|ing) up|gave up|not going to try again|(?:no|any) (?:further|more) (?:delivery )?attempts|"
    r"stopped trying|"
    r"will not (?:be retried|retry|try again|be attempted)|won't (?:be retried|retry|try again)|"
    r"too long in (?:the )?queue|in the queue too long|message (?:has )?expired|"
    r"retry time(?:out)? (?:has been )?exceeded|"
    r"delivery time (?:has )?expired|maximum (?:delivery|retry) (?:time|attempts)|(?:permanent|"
    r"fatal) (?:fatal )?error",
    re.IGNORECASE,
)
"""The server gave up. This outweighs the wording about the last attempt."""

WILL_RETRY = re.compile(
    r"will (?:be )?(?:retry|re-?tried|keep trying|continue|try again|re-?attempt)|attempts will (?:continue|be made)|"
    r"still (?:being )?(?:re)?tr(?:y|ies)|has been delayed|not yet been (?:delivered|sent)|is delayed|"
    r"delivery delayed|"
    r"warning message only|do(?: not| NOT|n't) need to (?:re-?send|retransmit)|temporarily (?:delayed|deferred)|"
    r"no action is required",
    re.IGNORECASE,
)

RETURNED = re.compile(
    r"^[-=_*> \t]{0,20}(?:(?:original|returned|unsent|undelivered|old|source|"
    r"below this line is a copy of the) ?(?:e-?mail|mail|message)|"
    r"header of the source mail|message headers? follows?|original message follows|"
    r"this is a copy of the (?:message|headers)|------ this is a copy|received: from|final-recipient:|"
    r"reporting-mta:)",
    re.IGNORECASE | re.MULTILINE,
)
"""The returned email, or the fields of a report, follow."""
