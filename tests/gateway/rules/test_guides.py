"""What the guides about rules show works as they say."""

import re
import tomllib
from pathlib import Path

import pytest

from config.settings import Settings
from gateway.auth.policy_document import check, decode
from gateway.auth.settings_roles import roles_of_settings

GUIDES = Path(__file__).parents[3] / "docs/guides"


def blocks(guide: str, kind: str = "toml") -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (GUIDES / guide).read_text(), re.DOTALL)


def test_the_policy_of_the_guide_passes():
    policy, cases = blocks("policies.md")
    read = check(decode(policy.encode(), is_toml=True), ["dept"])
    assert [rule.name for rule in read.rules] == ["engineers-from-the-office", "no-writing-at-night"]
    (case,) = tomllib.loads(cases)["cases"]
    assert case["rule"] == "no-writing-at-night"


def test_the_roles_of_the_guide_are_settings():
    (text,) = blocks("roles.md")
    settings = Settings.model_validate(tomllib.loads(text))
    assert settings.client.token.roles_claim == "roles"
    book = roles_of_settings(settings.roles)
    assert book.fixed == {"editor", "support"}
    assert book.decide("call", "device_list", ["support"]) is not None


@pytest.mark.parametrize("guide", ["policies.md", "roles.md", "api-keys.md"])
def test_attributes_settings_and_methods_that_are_named_exist(guide):
    text = (GUIDES / guide).read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links and all((GUIDES / link).exists() for link in links)
