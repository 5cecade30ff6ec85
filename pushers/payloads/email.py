"""What a mailbox gets: a message of two parts, text first, that names the notification in its headers."""

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from pathlib import Path
from typing import Final

import jinja2

from broker.notification import Content, Device, Notification
from pushers.outcome import DropMessage

__all__ = ["MAX_ADDRESS", "compose_email", "is_mail_address"]

MAX_ADDRESS: Final = 254
_SUBJECT_CHARS: Final = 200
# 7-bit only: needs no extension of any relay, and leaves no line too long.
_POLICY: Final = SMTP.clone(cte_type="7bit")
# One addr-spec, ASCII, no quoted local part: what every relay takes, and nothing that could start a second recipient.
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
)


def is_mail_address(text: str) -> bool:
    """Whether this is exactly one plain address (RFC 5321 §4.5.3.1: at most 64 characters before the @, 254 in all)."""
    return len(text) <= MAX_ADDRESS and _ADDRESS.fullmatch(text) is not None and text.index("@") <= 64


def compose_email(notification: Notification, device: Device, *, sender: str, sender_name: str) -> EmailMessage | DropMessage:
    """Compose the message. `Message-ID` and `Date` are the same at each try, so that a mailbox can tell a repeat.

    Args:
        sender: A plain address; its domain makes the `Message-ID`.
    """
    content = notification.content
    if not is_mail_address(device.token):
        return DropMessage("not a plain mail address")
    if not (content.title or content.body):
        return DropMessage("nothing to show in a mail")
    message = EmailMessage(_POLICY)
    message["From"] = Address(_one_line(sender_name), addr_spec=sender)
    message["To"] = Address(addr_spec=device.token)
    message["Subject"] = _subject(content)
    message["Date"] = notification.created_at
    message["Message-ID"] = f"<{notification.id}.{device.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no out-of-office answers
    message["X-Auto-Response-Suppress"] = "All"
    message["X-Notification-Id"] = notification.id
    message.set_content(_text(content))
    message.add_alternative(_html(content), subtype="html")
    return message


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _subject(content: Content) -> str:
    line = _one_line(content.title) or _one_line(content.body)
    return line if len(line) <= _SUBJECT_CHARS else line[: _SUBJECT_CHARS - 1].rstrip() + "…"


def _link(content: Content) -> str:
    """A link that a mail may carry: addresses of the app's own scheme open nothing in a mail program."""
    return content.link if content.link.lower().startswith(("https://", "http://")) else ""


def _image(content: Content) -> str:
    return content.image if content.image.lower().startswith("https://") else ""


def _text(content: Content) -> str:
    return "\n\n".join(part for part in (content.title, content.body, _link(content)) if part) + "\n"


def _html(content: Content) -> str:
    paragraphs = [part.splitlines() for part in re.split(r"\n{2,}", content.body) if part.strip()]
    return _template().render(
        title=content.title,
        preview=_one_line(content.body)[:120],
        paragraphs=paragraphs,
        link=_link(content),
        image=_image(content),
    )


@cache
def _template() -> jinja2.Template:
    """Load the one template of the package; the application's texts are values in it, never part of it."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template("email.html.jinja")
