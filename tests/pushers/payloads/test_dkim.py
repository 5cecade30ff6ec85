"""DKIM: signatures checked by a verifier that is written from the RFC and proves itself on the RFC's own signed mail."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from broker.notification import Device, Notification, Provider
from pushers.payloads.dkim import DkimSigner
from pushers.payloads.email import compose_email

ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
KEYS = {"ed25519": ED25519, "rsa": RSA}


def verify(mail: bytes, key: ed25519.Ed25519PublicKey | rsa.RSAPublicKey) -> Mapping[str, str]:
    """Verify the topmost DKIM signature of a mail (RFC 6376 §6.1) step by step; gives its tags."""
    head, body = mail.split(b"\r\n\r\n", 1)
    fields: list[tuple[str, str]] = []
    for line in head.decode().split("\r\n"):
        if line[0] in " \t":
            fields[-1] = (fields[-1][0], fields[-1][1] + "\r\n" + line)
        else:
            fields.append((line.split(":", 1)[0], line.split(":", 1)[1]))
    number = next(number for number, (name, _) in enumerate(fields) if name.lower() == "dkim-signature")
    _, value = fields.pop(number)
    tags = {}
    for tag in re.sub(r"\s+", " ", value).strip().rstrip(";").split(";"):
        name, _, text = tag.partition("=")
        tags[name.strip()] = text.strip()
    assert (tags["v"], tags["c"]) == ("1", "relaxed/relaxed")
    assert base64.b64decode(tags["bh"].replace(" ", "")) == hashlib.sha256(relax_body(body)).digest()
    data = ""
    for name in tags["h"].replace(" ", "").split(":"):
        for at in range(len(fields) - 1, -1, -1):
            if fields[at][0].lower() == name.lower():
                data += relax(*fields.pop(at)) + "\r\n"
                break
    data += relax("DKIM-Signature", re.sub(r"(\bb=)[^;]*", r"\1", value))
    signature = base64.b64decode(tags["b"].replace(" ", ""))
    if isinstance(key, rsa.RSAPublicKey):
        assert tags["a"] == "rsa-sha256"
        key.verify(signature, data.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        assert tags["a"] == "ed25519-sha256"
        key.verify(signature, hashlib.sha256(data.encode()).digest())
    return tags


def relax(name: str, value: str) -> str:
    return name.lower().strip() + ":" + re.sub(r"[ \t]+", " ", value.replace("\r\n", "")).strip()


def relax_body(body: bytes) -> bytes:
    text = re.sub(rb"[ \t]+", b" ", body)
    text = re.sub(rb" \r\n", b"\r\n", text)
    text = re.sub(rb"(\r\n)+\Z", b"\r\n", text)
    return b"" if text == b"\r\n" else text


# RFC 8463 Appendix A.
EXAMPLE = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
EXAMPLE_PUBLIC = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="))
EXAMPLE_PRIVATE = ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="))


def test_the_verifier_takes_the_rfcs_example_and_nothing_else() -> None:
    verify(EXAMPLE, EXAMPLE_PUBLIC)
    with pytest.raises(InvalidSignature):
        verify(EXAMPLE.replace(b"dinner", b"supper"), EXAMPLE_PUBLIC)
    with pytest.raises(AssertionError):
        verify(EXAMPLE.replace(b"hungry", b"angry"), EXAMPLE_PUBLIC)


def test_the_rfcs_mail_signed_by_us() -> None:
    mail = EXAMPLE[EXAMPLE.index(b"From:") :]
    signed = DkimSigner("football.example.com", "brisbane", EXAMPLE_PRIVATE).sign(mail, timestamp=1528637909)
    tags = verify(signed, EXAMPLE_PUBLIC)
    assert tags["bh"] == "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
    assert (tags["d"], tags["s"], tags["t"]) == ("football.example.com", "brisbane", "1528637909")
    assert signed.endswith(mail)


@pytest.fixture(scope="session")
def mail(make_notification: Callable[..., Notification], make_device: Callable[..., Device]) -> bytes:
    notification = make_notification(title="Grüße " * 30, body="B\n\nC", unsubscribe="https://u.example/x")
    device = make_device(Provider.EMAIL, "bob@mail.example")
    composed = compose_email(notification, device, sender="news@shop.example", sender_name="Shop")
    assert isinstance(composed, bytes)
    return composed


@pytest.mark.parametrize("kind", KEYS)
def test_our_mails_verify_with_either_key(mail: bytes, kind: str) -> None:
    signed = DkimSigner("shop.example", "2026", KEYS[kind]).sign(mail, timestamp=1767225600)
    tags = verify(signed, KEYS[kind].public_key())
    # RFC 8058 §4: what is posted to must be covered.
    assert {"list-unsubscribe", "list-unsubscribe-post", "from"} <= set(tags["h"].replace(" ", "").split(":"))
    assert max(map(len, signed.removesuffix(mail).split(b"\r\n"))) <= 78


def test_a_second_header_of_the_telling_kind_breaks_the_signature(mail: bytes) -> None:
    signed = DkimSigner("shop.example", "2026", ED25519).sign(mail, timestamp=1)
    for name in (b"From", b"To", b"Subject", b"List-Unsubscribe"):
        added = name + b": evil@x.example\r\n"
        for forged in (added + signed, signed.replace(b"\r\n\r\n", b"\r\n" + added + b"\r\n", 1)):
            with pytest.raises(InvalidSignature):
                verify(forged, ED25519.public_key())


def test_blanks_that_relays_change_do_not_matter(mail: bytes) -> None:
    signed = DkimSigner("shop.example", "2026", ED25519).sign(mail, timestamp=1)
    changed = signed.replace(b"MIME-Version: 1.0", b"MIME-VERSION:  1.0 ") + b"\r\n\r\n"
    verify(changed, ED25519.public_key())


BLANKS = st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"=", b"\xc3\xa4"])


BODIES = st.lists(BLANKS).map(lambda pieces: b"".join(pieces) + b"\r\n")
FOLDED = st.lists(st.sampled_from([" ", "\t", "\r\n ", "x", ":"]), min_size=1).map("".join)


@given(BODIES, FOLDED)
def test_any_body_and_folding_verifies(body: bytes, subject: str) -> None:
    mail = f"From: a@x.example\r\nSubject: s{subject}\r\nTo: b@x.example\r\n\r\n".encode() + body
    verify(DkimSigner("x.example", "s", ED25519).sign(mail, timestamp=1), ED25519.public_key())
