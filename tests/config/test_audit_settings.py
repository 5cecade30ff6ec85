import pytest
from pydantic import ValidationError

from config.audit_settings import AuditSettings


def test_keys_stand_in_the_order_in_which_they_count() -> None:
    settings = AuditSettings(hmac_key="key-of-the-audit", previous_hmac_keys=["older", "oldest"])
    assert settings.keys == (b"key-of-the-audit", b"older", b"oldest")
    assert AuditSettings().keys == (b"",)


def test_a_previous_key_alone_signs_nothing() -> None:
    assert AuditSettings(previous_hmac_keys=["older"]).keys == (b"", b"older")


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"hmac_key": "too short"}, "must be at least 16 bytes"),
        ({"previous_hmac_keys": [""]}, "must not be empty"),
        ({"grants": ["everything"]}, "Input should be"),
        ({"on_failure": "panic"}, "Input should be"),
        ({"queue_size": 0}, "greater than or equal to 10"),
        ({"flush_interval": "0s"}, "greater than 0"),
    ],
)
def test_what_breaks_a_rule_is_refused(given: dict[str, object], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        AuditSettings.model_validate(given)


def test_keys_are_not_shown() -> None:
    assert "key-of-the-audit" not in repr(AuditSettings(hmac_key="key-of-the-audit"))
