"""The texts of widget, panel and conversation page, in the language of the customer."""

from shopbell.i18n.translations import Texts


def launcher_texts(texts: Texts) -> list[str]:
    """Return the texts of the loader: open, close, name of the panel, failure."""
    _ = texts.gettext
    return [
        _("Open chat"),
        _("Close chat"),
        _("Chat"),
        _("Chat is unavailable"),
    ]


def presence_text(texts: Texts, *, is_open: bool, opens_at_ms: int | None, time_zone: str) -> str:
    """Return the text next to the name of the business while no employee is online.

    Args:
        texts: the language of the customer.
        is_open: whether the business is open.
        opens_at_ms: when it opens again, in Unix ms; None if never.
        time_zone: the time zone of the business, as in the automatic reply.
    """
    _ = texts.gettext
    if is_open:
        return _("We reply as soon as we can")
    if opens_at_ms is None:
        return _("We are currently closed")
    when = texts.weekday_and_time(opens_at_ms, time_zone)
    return _("We are currently closed and reopen on {when}", when=when)


def panel_texts(texts: Texts) -> dict[str, str]:
    """Return the texts of the scripts, by their names there. Scripts fill in ``{name}`` and similar placeholders."""
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
        "someoneTyping": _("Someone is typing…"),
        "unread": _("Unread messages: {count}", count="{count}"),
        "newMessage": _("New message from {name}", name="{name}"),
        "offline": _("You are offline. Your messages will be sent when you are back online."),
        "reconnecting": _("Connection lost. Reconnecting…"),
        "backOnline": _("You are back online."),
        "online": _("We are online"),
        "resolved": _("This conversation has been closed. Send a message to reopen it."),
        "expired": _("Your session has expired. You can start a new conversation."),
        "tooLong": _("Your message is too long. The limit is {count} characters.", count="{count}"),
        "fileTooLarge": _("This file is too large. The limit is {size}.", size="{size}"),
        "fileRefused": _("Files of this type cannot be sent."),
        "fileEmpty": _("This file is empty."),
        "pictureOffered": _("What you pasted is also available as a picture. Send the picture too?"),
        "sendPicture": _("Send the picture"),
        "fileTomorrow": _("This file cannot be sent today. Please try again tomorrow."),
        "uploading": _("Uploading {name}", name="{name}"),
        "file": _("File"),
        "picture": _("Picture: {name}", name="{name}"),
        "slowDown": _("You are sending messages too quickly. Please wait a moment."),
        "notNow": _("Not now"),
        "save": _("Save"),
        "send": _("Send"),
        "whereToAnswer": _("How can we reach you if you leave this page?"),
        "forgottenSoon": _("This browser forgets the conversation when you close it. How can we reach you?"),
        "keepsNothing": _(
            "Your browser does not keep this conversation: it ends when you leave this page. How can we reach you?"
        ),
        "keep": _("Keep this conversation in the browser"),
        "isKept": _("Your browser now keeps this conversation."),
        "cannotKeep": _("Your browser does not allow this. Please tell us how we can reach you."),
        "contact": _("Email address or phone number"),
        "contactInvalid": _("Please enter a valid email address or phone number."),
        "contactSaved": _("Thank you. We will reply here and to the address or number you gave us."),
        "nps": _("How likely are you to recommend us to a friend?"),
        "csat": _("How satisfied are you with the help you received?"),
        "leastLikely": _("Not at all likely"),
        "mostLikely": _("Very likely"),
        "leastSatisfied": _("Very dissatisfied"),
        "mostSatisfied": _("Very satisfied"),
        "comment": _("Would you like to add anything?"),
        "thanks": _("Thank you for your feedback."),
        "tryLater": _("Something went wrong. Please try again."),
        "signedOut": _("You are signed out on this device."),
        "messageSent": _("Thank you. We have received your message."),
        "blank": _("Please enter a message."),
    }
