"""The settings in docs/guides/tokens.md, as somebody would copy them."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from config.keys import key_problems
from config.readiness import advise, check_ready
from config.settings import Settings

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "tokens.md"
BLOCKS = re.findall(r"^```toml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_settings_of_the_guide_start(block: str) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = json.dumps(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    text = re.sub(r'"-----BEGIN PUBLIC KEY-----[^"]*"', lambda _: pem, block)
    settings = Settings.model_validate(tomllib.loads(text.replace('"…"', f'"{"s" * 32}"')) | {"http_api": {"keys": ["k"]}})
    assert key_problems(settings) == check_ready(settings) == advise(settings) == []


def test_the_guide_has_settings() -> None:
    assert len(BLOCKS) == 2
