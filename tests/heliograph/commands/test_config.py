import json
from pathlib import Path

SECRET = "a secret that is longer than thirty-two bytes"


def write(text: str) -> str:
    Path("h.toml").write_text(text)
    return "h.toml"


def test_finds_good_settings_good(run) -> None:
    file = write(f'client.token.hmac_secret_key = "{SECRET}"\nhttp_api.keys = ["k"]\n')
    ended = run("config", "check", "--config", file)

    assert (ended.code, ended.out, ended.err) == (0, "The settings are good.\n", "")


def test_warns_and_finds_them_good(run) -> None:
    ended = run("config", "check", "--config", write('client.token.hmac_secret_key = "short"\n'))

    assert ended.code == 0
    assert [line.split(":")[:2] for line in ended.problems] == [
        ["warning", " http_api.keys"],
        ["warning", " client.token.hmac_secret_key"],
    ]


def test_lists_every_problem_on_a_line(run) -> None:
    ended = run("config", "check", "--config", write('[client]\nping_interval = "fast"\nnope = 1\n'))

    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 2)
    assert all(line.startswith("heliograph: client.") for line in ended.problems)


def test_says_what_forbids_a_start(run) -> None:
    ended = run("config", "check", "--config", write('broker.url = "kafka://h"\n'))

    assert ended.code == 2
    assert [line.split(": ")[1] for line in ended.problems] == ["client.token", "broker.url"]


def test_looks_at_credentials_as_a_start_does(run) -> None:
    providers = """
[providers.apns]
team_id = "T"
[providers.fcm]
service_account = "/nowhere/firebase.json"
[providers.email]
url = "smtp://mail.example.org"
sender = "hello@example.org"
"""
    file = write(f'client.token.hmac_secret_key = "{SECRET}"\nhttp_api.keys = ["k"]\nhttp.port = 0\n{providers}')
    checked = run("config", "check", "--config", file)

    assert checked.code == 2
    assert checked.problems == [
        "heliograph: providers.apns.key_id: is missing; team_id, key_id, private_key, topic go together",
        "heliograph: providers.fcm.service_account: the file cannot be read",
    ]
    assert run("serve", "--config", file).problems == checked.problems
    Path(file).write_text(Path(file).read_text().replace('team_id = "T"', "").replace("/nowhere/firebase.json", ""))
    assert run("config", "check", "--config", file).out == "The settings are good.\n"


def test_warns_of_a_role_for_channels_that_cannot_be(run) -> None:
    roles = '[[roles]]\nname = "editor"\npermissions = ["publish news:*", "subscribe docs:*"]\n'
    text = f'client.token.hmac_secret_key = "{SECRET}"\nhttp_api.keys = ["k"]\n[[channel.namespaces]]\nname = "news"\n{roles}'
    ended = run("config", "check", "--config", write(text))

    assert (ended.code, ended.out) == (0, "The settings are good.\n")
    assert ended.problems == ["warning: roles[0].permissions[1]: can fit no channel: namespace 'docs' is not configured"]


def test_reads_roles_and_the_policy_as_a_start_does(run) -> None:
    Path("policy.toml").write_text(
        '[[rules]]\nname = "night"\neffect = "deny"\nactions = ["fly"]\ncondition = """user ==\n\n  nobody"""\n'
    )
    roles = '[[roles]]\nname = "editor"\npermissions = ["fly:*"]\n'
    rules = f'client.token.hmac_secret_key = "{SECRET}"\npolicy.file = "policy.toml"\n{roles}'
    checked = run("config", "check", "--config", write(rules))

    assert checked.code == 2
    assert [line.removeprefix("heliograph: ").split(": ")[:2] for line in checked.problems] == [
        ["roles[0].permissions[0]", "must begin with actions, separated by commas without blanks"],
        ["policy.file", "policy.toml"],
        ["policy.file", "policy.toml"],
    ]
    assert "line 3, column 3" in checked.problems[2]
    started = run("gateway", "--config", write(f"http.port = 0\n{rules.replace(roles, '')}"))
    assert (started.code, started.problems) == (checked.code, checked.problems[1:])
    started = run("gateway", "--config", write(f"http.port = 0\n{rules}"))
    assert (started.code, started.problems) == (checked.code, checked.problems[:1])
    Path("policy.toml").unlink()
    checked = run("config", "check", "--config", write(rules.replace(roles, "")))
    assert checked.problems == ["heliograph: policy.file: policy.toml: policy: cannot be read: No such file or directory"]


def test_takes_the_file_from_the_environment(run, monkeypatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_CONFIG", write(f'client.token.hmac_secret_key = "{SECRET}"\n'))

    assert run("config", "check").code == 0


def test_shows_values_and_origins_but_no_secrets(run, monkeypatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_STORE__URL", "postgresql://app:topsecret@db/h")
    file = write('client.token.hmac_secret_key = "topsecret"\nhttp_api.keys = ["topsecret"]\nclient.ping_interval = "90s"\n')
    ended = run("config", "show", "--config", file)

    assert ended.out.splitlines() == [
        'http_api.keys = ["…"]  # h.toml',
        'store.url = "postgresql://app:…@db/h"  # HELIOGRAPH_STORE__URL',
        'client.ping_interval = "90s"  # h.toml',
        'client.token.hmac_secret_key = "…"  # h.toml',
    ]


def test_shows_defaults_when_asked(run) -> None:
    lines = run("config", "show", "--all", "--config", write("")).out.splitlines()

    assert 'client.ping_interval = "25s"' in lines
    assert 'client.token.hmac_secret_key = ""' in lines


def test_prints_the_schema(run) -> None:
    schema = json.loads(run("config", "schema").out)

    assert schema["title"] == "heliograph settings"
    assert "client" in schema["properties"]
