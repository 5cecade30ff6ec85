"""RFC 8291 by its own example, and by a client of another hand."""

import base64

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pushers.payloads.encryption import Receiver, encrypt


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_example_of_rfc_8291_section_5() -> None:
    receiver = unbase64("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
    sender = int.from_bytes(unbase64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big")
    message = encrypt(
        b"When I grow up, I want to be a watermelon",
        Receiver(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), receiver), unbase64("BTBZMqHH6r4Tts7J_aSIgg")),
        sender=ec.derive_private_key(sender, ec.SECP256R1()),
        salt=unbase64("DGv6ra1nlYgDCS1FRnbzlw"),
    )
    assert base64.urlsafe_b64encode(message).rstrip(b"=").decode() == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
        "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
        "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@pytest.mark.parametrize("size", [0, 1, 500, 3993])
def test_another_client_decrypts_it(size: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    message = encrypt(b"x" * size, Receiver(key.public_key(), b"s" * 16))
    assert http_ece.decrypt(message, private_key=key, auth_secret=b"s" * 16, version="aes128gcm") == b"x" * size
    assert len(message) == size + 103


def test_every_message_has_its_own_key_and_salt() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    first, second = (encrypt(b"same", Receiver(key, b"s" * 16)) for _ in range(2))
    assert first[:16] != second[:16]
    assert first[21:86] != second[21:86]
    assert first[21:86] != key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
