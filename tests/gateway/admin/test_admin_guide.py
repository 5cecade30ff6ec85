"""The settings that the guide shows are taken as they stand."""

import re
import tomllib
from pathlib import Path

from config.settings import Settings
from gateway.admin.passwords import Cost, hash_password

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "admin.md"


def test_the_settings_of_the_guide_start():
    (shown,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.S)
    written = shown.replace("scrypt$15$8$3$…", hash_password("a password", Cost(2, 1, 1))).replace('"…"', f'"{"x" * 32}"')
    admin = Settings.model_validate(tomllib.loads(written)).admin
    assert (admin.enabled, admin.users[0].name, admin.users[0].role) == (True, "ann", "operator")


def test_the_guide_names_the_acts_of_the_audit():
    text = (Path(__file__).parents[3] / "gateway" / "admin" / "routes.py").read_text()
    acts = set(re.findall(r'Act\("([a-z.]+)"', text))
    assert acts == set(re.findall(r"`(admin\.(?:login|logout|call))`", GUIDE.read_text()))
