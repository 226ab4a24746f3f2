"""What widget, panel and conversation page say, in a customer's language. Pure."""

from shopbell.texts import Texts


def launcher_texts(texts: Texts) -> list[str]:
    """What the loader says before anything else was loaded: open, close, unread, the panel's name."""
    _ = texts.gettext
    return [
        _("Open chat"),
        _("Close chat"),
        _("Unread messages: {count}", count="{count}"),
        _("Chat"),
    ]


def presence_text(texts: Texts, *, is_open: bool, opens_at_ms: int | None, time_zone: str) -> str:
    """What stands beside the business's name while nobody of it is there.

    Args:
        texts: the customer's language.
        is_open: whether the business is open.
        opens_at_ms: when it is again, in Unix ms; None when that will never be.
        time_zone: the business's: its clock counts, as in the automatic reply, wherever the customer's is.
    """
    _ = texts.gettext
    if is_open:
        return _("We answer as soon as we can")
    if opens_at_ms is None:
        return _("We are closed now")
    when = texts.weekday_and_time(opens_at_ms, time_zone)
    return _("We are closed now and open again {when}", when=when)


def panel_texts(texts: Texts) -> dict[str, str]:
    """What the scripts of panel and conversation page say, by the names that they use.

    Args:
        texts: the customer's language.

    Returns:
        Texts in which ``{name}`` and the like are filled in by the script.
    """
    _ = texts.gettext
    return {
        "you": _("You"),
        "today": _("Today"),
        "yesterday": _("Yesterday"),
        "sending": _("Sending…"),
        "waiting": _("Waiting for the connection…"),
        "sentSoon": _("Will be sent in a moment…"),
        "sent": _("Sent"),
        "delivered": _("Delivered"),
        "read": _("Read"),
        "notSent": _("Not sent"),
        "retry": _("Try again"),
        "discard": _("Delete"),
        "typing": _("{name} is typing…", name="{name}"),
        "someoneTyping": _("Somebody is typing…"),
        "newMessage": _("New message from {name}", name="{name}"),
        "offline": _("You are offline. What you write is sent as soon as you are back."),
        "reconnecting": _("The connection is interrupted. Trying again…"),
        "backOnline": _("You are connected again."),
        "online": _("We are online"),
        "resolved": _("This conversation was closed. Write again to reopen it."),
        "expired": _("Your session has ended. You can begin a new conversation."),
        "tooLong": _("Your message is too long. At most {count} characters can be sent.", count="{count}"),
        "fileTooLarge": _("This file is too large. At most {size} can be sent.", size="{size}"),
        "fileRefused": _("Files of this kind cannot be sent."),
        "fileEmpty": _("This file is empty."),
        "pictureOffered": _("What you pasted also came as a picture. Send the picture, too?"),
        "sendPicture": _("Send the picture"),
        "fileTomorrow": _("This file cannot be sent today. Please try again tomorrow."),
        "uploading": _("Uploading {name}", name="{name}"),
        "file": _("File"),
        "picture": _("Picture: {name}", name="{name}"),
        "slowDown": _("That was a lot at once. Please wait a moment."),
        "notNow": _("Not now"),
        "save": _("Save"),
        "send": _("Send"),
        "whereToAnswer": _("Where can we answer you if you leave this page?"),
        "forgottenSoon": _("This browser forgets the conversation when you close it. Where can we answer you?"),
        "contact": _("E-mail address or phone number"),
        "contactInvalid": _("This is not an e-mail address or phone number."),
        "contactSaved": _("Thank you. We will answer you here and there."),
        "nps": _("How likely are you to recommend us to a friend?"),
        "csat": _("How satisfied are you with our help?"),
        "leastLikely": _("Not at all likely"),
        "mostLikely": _("Very likely"),
        "leastSatisfied": _("Very dissatisfied"),
        "mostSatisfied": _("Very satisfied"),
        "comment": _("Would you like to add something?"),
        "thanks": _("Thank you for your answer."),
        "tryLater": _("That did not work. Please try again."),
        "signedOut": _("You are signed out on this device."),
        "messageSent": _("Thank you. Your message has arrived."),
        "blank": _("Please write something."),
    }
