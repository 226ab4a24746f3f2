"""What the text of a message may be."""

MESSAGE_MAX_CHARACTERS = 10_000


def check(text: str) -> str:
    """Check a text that people read: 1 to 10,000 characters, not blank.

    It is stored as it is.

    Raises:
        ValueError: it is not; the message is the end of a sentence.
    """
    if not text.strip():
        raise ValueError("must not be blank")
    if "\0" in text:
        raise ValueError("must not contain U+0000")
    if len(text) > MESSAGE_MAX_CHARACTERS:
        raise ValueError(f"must have at most {MESSAGE_MAX_CHARACTERS} characters")
    return text
