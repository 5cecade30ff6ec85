import pytest

from config.display import hide_password, show_settings
from config.loader import load_with_origins


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:pw@h:5432/db", "postgresql://u:…@h:5432/db"),
        ("redis://:pw@h", "redis://:…@h"),
        ("postgresql://u:p@w@h/db", "postgresql://u:…@h/db"),
        ("postgresql://u@h/db?password=pw&x=1", "postgresql://u@h/db?password=…&x=1"),
        ("postgresql://postgres:@/p?host=/d", "postgresql://postgres:…@/p?host=/d"),
        ("sqlite:///./data/h.db", "sqlite:///./data/h.db"),
        ("https://example.org/a:b@c", "https://example.org/a:b@c"),
        ("https://u:pw@h/jwks?token=abc&v=2", "https://…@h/jwks?token=…&v=…"),
        ("HTTPS://key@h", "HTTPS://…@h"),
        ("https://hooks.example.org/services/T0000000/zq8GkX2mPqRsTuVw1234", "https://hooks.example.org/services/T0000000/…"),
        ("https://h/.well-known/openid-configuration", "https://h/.well-known/openid-configuration"),
    ],
)
def test_hides_passwords_of_addresses(address: str, shown: str) -> None:
    assert hide_password(address) == shown


def test_shows_tables_of_a_list_with_what_was_set() -> None:
    namespaces = [{"name": "chat", "presence": True}, {"name": "news"}]
    shown = {
        entry.path: entry
        for entry in show_settings(load_with_origins(None, overrides={"channel": {"namespaces": namespaces}}, environ={}))
    }

    assert shown["channel.namespaces"].value == '[{ presence = true, name = "chat" }, { name = "news" }]'
    assert shown["channel.namespaces"].origin == "flag"
