"""The metrics of the mailbox; importing them does not import the parsers of emails."""

from prometheus_client import Counter

RESULTS = ("kept", "later", "refused", "too_large", "broken", "foreign")

EMAILS = Counter(
    "shopbell_mailbox_emails", "Emails that were found in the mailbox, by what became of them.", ["result"]
)
FAILURES = Counter("shopbell_mailbox_failures", "Times that the mailbox could not be read, by reason.", ["reason"])
