"""What a mailbox gets: a message of two parts, text first, that names the notification in its headers.

The few headers are written by hand: `EmailMessage` parses and folds each one anew, at a millisecond and a half per mail. What
comes from outside is either checked against a pattern (addresses, ids) or made one printable line (title, name).
"""

import base64
import html
import re
from email.headerregistry import Address
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import jinja2

from broker.notification import Content, Device, Lane, Notification
from broker.rendering.html_tokens import tokens_of
from pushers.outcome import DropMessage

__all__ = ["MAX_ADDRESS", "compose_email", "is_mail_address"]

MAX_ADDRESS: Final = 254
_SUBJECT_CHARS: Final = 200
# Nothing that could end the address or the line.
_UNSUBSCRIBE: Final = re.compile(r"https://[!#-;=?-~]+")
_UNFOLDED_CHARS: Final = 66
_ENCODED_BYTES: Final = 39  # 52 characters of base64, and 12 around them; the first follows the header's name
_MOST_UNFOLDED_CHARS: Final = 970  # RFC 5322 §2.1.1: 998 in a line
# One addr-spec, ASCII, no quoted local part: what every relay takes, and nothing that could start a second recipient.
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
)


def is_mail_address(text: str) -> bool:
    """Whether this is exactly one plain address (RFC 5321 §4.5.3.1: at most 64 characters before the @, 254 in all)."""
    return len(text) <= MAX_ADDRESS and _ADDRESS.fullmatch(text) is not None and text.index("@") <= 64


def compose_email(notification: Notification, device: Device, *, sender: str, sender_name: str) -> bytes | DropMessage:
    """Compose the message as it goes over the wire, ASCII with CRLF.

    `Message-ID` and `Date` are the same at each try, so that a mailbox can tell a repeat.

    Args:
        sender: A plain address; its domain makes the `Message-ID`.
    """
    content = notification.content
    if not is_mail_address(device.token):
        return DropMessage("not a plain mail address")
    if not (content.title or content.body or content.html):
        return DropMessage("nothing to show in a mail")
    if content.unsubscribe and not _UNSUBSCRIBE.fullmatch(content.unsubscribe):
        return DropMessage("the address to unsubscribe at is no plain https address")
    boundary = f"=_{notification.id}"  # "=_" is no base64
    lines = (
        _from_line(sender, sender_name),
        f"To: {device.token}",
        _subject_line(content),
        f"Date: {format_datetime(notification.created_at)}",
        f"Message-ID: <{notification.id}.{device.id}@{sender.rpartition('@')[2]}>",
        "Auto-Submitted: auto-generated",  # RFC 3834 §5: no out-of-office answers
        "X-Auto-Response-Suppress: All",
        f"X-Notification-Id: {notification.id}",
        *_unsubscribe_lines(content),
        *(("X-Priority: 1",) if notification.lane is Lane.CRITICAL else ()),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "",
        *_part_lines(boundary, "plain", _text(content)),
        *_part_lines(boundary, "html", _html(content)),
        f"--{boundary}--",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def _unsubscribe_lines(content: Content) -> tuple[str, ...]:
    """Offer a way out in one click (RFC 8058 §3.1). An address cannot be folded: one that makes too long a line is left out."""
    if not content.unsubscribe or len(content.unsubscribe) > _MOST_UNFOLDED_CHARS:
        return ()
    return (f"List-Unsubscribe: <{content.unsubscribe}>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click")


def _part_lines(boundary: str, subtype: str, text: str) -> tuple[str, ...]:
    encoded = base64.encodebytes(text.encode("utf-8")).decode("ascii").rstrip("\n")
    return (
        f"--{boundary}",
        f"Content-Type: text/{subtype}; charset=utf-8",
        "Content-Transfer-Encoding: base64",
        "",
        encoded.replace("\n", "\r\n"),
    )


@lru_cache(16)
def _from_line(sender: str, sender_name: str) -> str:
    name = _one_line(sender_name)
    if _must_be_encoded(name):
        return f"From: {_encoded(name)} <{sender}>"
    address = Address(name, addr_spec=sender)
    header: str = SMTP.header_factory("From", address).fold(policy=SMTP)
    return header.removesuffix("\r\n")


def _subject_line(content: Content) -> str:
    text = _subject(content)
    if _must_be_encoded(text):
        return f"Subject: {_encoded(text)}"
    if len(text) <= _UNFOLDED_CHARS:
        return f"Subject: {text}"
    header: str = SMTP.header_factory("Subject", text).fold(policy=SMTP)  # folded (RFC 5322 §2.2.3)
    return header.removesuffix("\r\n")


def _must_be_encoded(text: str) -> bool:
    """Whether a line cannot stand in a header as it is. One that reads as if it were encoded must not be taken for it: the
    library would decode it, line ends included, and write these into the header."""
    return "=?" in text or not text.isascii()


def _encoded(text: str) -> str:
    """Write a line as encoded words of UTF-8 (RFC 2047 §2: at most 75 characters each, whole characters in each)."""
    words, word = [], b""
    for char in text:
        data = char.encode("utf-8", "replace")
        if len(word) + len(data) > _ENCODED_BYTES:
            words.append(word)
            word = b""
        word += data
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(one).decode('ascii')}?=" for one in (*words, word))


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
    # The title is the subject, which every mail reader shows above the text; a mail without a body repeats it.
    return "\n\n".join(part for part in (content.body or content.title, _link(content)) if part) + "\n"


def _html(content: Content) -> str:
    return _with_pixel(content.html or _own_html(content), content.pixel)


def _with_pixel(text: str, pixel: str) -> str:
    """Put the picture that tells that a mail was shown at its end: what a mail program cuts off of a long one was not shown."""
    if not pixel:
        return text
    bodies = [token.at for token in tokens_of(text) if token.kind == "end" and token.name == "body"]
    at = bodies[-1] if bodies else len(text)
    return f'{text[:at]}<img src="{html.escape(pixel)}" alt="" width="1" height="1" style="border:0;">{text[at:]}'


def _own_html(content: Content) -> str:
    paragraphs = [part.splitlines() for part in re.split(r"\n{2,}", content.body) if part.strip()]
    return _template().render(
        title=content.title,
        preview=_one_line(content.subtitle or content.body)[:120],
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
