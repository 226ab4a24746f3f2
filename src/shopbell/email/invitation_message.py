"""The text of the email that invites an employee."""

from shopbell.i18n.translations import Texts


def invitation(organization: str, link: str, texts: Texts) -> tuple[str, str]:
    """Return subject and text.

    Args:
        organization: the name of the organization that invites.
        link: where the employee accepts.
        texts: the language of the email.
    """
    paragraphs = (
        texts.gettext("You are invited to reply to the customers of {organization}.", organization=organization),
        texts.gettext("This link works once, within seven days:"),
        link,
        texts.gettext("If you do not know why you got this email, ignore it."),
    )
    return texts.gettext("Join {organization}", organization=organization), "\n\n".join(paragraphs) + "\n"
