"""The channels that send notifications. A new channel is one line here."""

from collections.abc import Sequence

from shopbell.channels.email.channel import EmailChannel
from shopbell.channels.sms.channel import TextChannel
from shopbell.notifications.capabilities import Rules
from shopbell.notifications.channel import Channel
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings

CHANNELS: list[type[Channel]] = [
    EmailChannel,
    TextChannel,
]


def open_channels(settings: Settings, keys: Keys) -> Sequence[Channel]:
    """Open all channels.

    Raises:
        SettingsError: a setting of a channel is wrong.
    """
    return [channel(settings, keys) for channel in CHANNELS]


def rules_of(settings: Settings) -> Rules:
    """Return what the channels can do with these settings."""
    return {each.name: each for channel in CHANNELS for each in channel.declare(settings)}


def not_sent(settings: Settings) -> list[str]:
    """What this installation does not send, one sentence for each; for the operator."""
    return [warning for channel in CHANNELS for warning in channel.warnings(settings)]
