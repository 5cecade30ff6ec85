"""Which texts can be kept as they are, on every database.

PostgreSQL keeps no U+0000 and bounds what an index takes; half a surrogate pair is no text in UTF-8. Texts that come from
outside and name something are held against this before they are sent, so that both databases answer alike.
"""

from typing import Final

from broker.errors import BadInput

__all__ = ["MAX_NAME_BYTES", "check_name", "is_name"]

MAX_NAME_BYTES: Final = 1024


def is_name(text: str) -> bool:
    """Whether a text can name a row; one that cannot names nothing that is stored."""
    try:
        return len(text.encode()) <= MAX_NAME_BYTES and "\0" not in text
    except UnicodeEncodeError:
        return False


def check_name(field: str, text: str) -> None:
    """Refuse what cannot name a row.

    Raises:
        BadInput: Naming the field and the rule.
    """
    if not is_name(text):
        raise BadInput(field, f"must be at most {MAX_NAME_BYTES} bytes of text without U+0000")
