"""The application's own `data`: a JSON object that stays as it was written, or becomes text where only that is taken."""

import re
from typing import Final

import msgspec

from broker.notification import Content

__all__ = ["read_data", "read_text_data"]

# https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages: words that FCM keeps to itself.
_RESERVED: Final = re.compile(r"from|message_type|gcm.*|google.*", re.DOTALL)
_VALUES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_data(content: Content) -> dict[str, msgspec.Raw]:
    """Read the members, each value as its raw text, so that no number changes on its way."""
    text = bytes(content.data)
    return _VALUES.decode(text) if text else {}


def read_text_data(content: Content) -> dict[str, str]:
    """Read the members as text for FCM: strings as they are, every other value as its JSON text.

    Names that FCM would refuse the whole message for travel with an underscore in front: "from" as "_from".
    """
    members = ((name, bytes(value)) for name, value in read_data(content).items())
    return {
        f"_{name}" if _RESERVED.fullmatch(name) else name: msgspec.json.decode(raw, type=str)
        if raw.startswith(b'"')
        else raw.decode()
        for name, raw in members
    }
