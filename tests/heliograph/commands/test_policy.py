"""`heliograph policy` and `heliograph key`: files looked over and tried on cases, and a started server that obeys."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

POLICY = """
timezone = "Europe/Berlin"

[networks]
office = ["198.51.100.0/24"]

[[rules]]
name = "no-writing-at-night"
effect = "deny"
actions = ["publish"]
channels = ["docs:*"]
condition = 'time.clock < "06:00" && !("admin" in roles)'

[[rules]]
name = "engineers-from-the-office"
effect = "allow"
actions = ["subscribe"]
channels = ["lab:*"]
condition = 'claims.dept == "eng" && "office" in connection.networks'
"""
CASES = """
[[cases]]
name = "at night"
expect = "deny"
rule = "no-writing-at-night"
otherwise = "allow"
action = "publish"
channel = "docs:plan"
user = "ann"
at = 2026-11-25T04:59:00Z

[[cases]]
expect = "allow"
otherwise = "allow"
action = "publish"
channel = "docs:plan"
at = 2026-11-25T05:00:00Z

[[cases]]
name = "from the office"
expect = "allow"
rule = "engineers-from-the-office"
action = "subscribe"
channel = "lab:1"
claims = { dept = "eng" }
address = "198.51.100.7"

[[cases]]
name = "from elsewhere"
expect = "deny"
rule = "default"
action = "subscribe"
channel = "lab:1"
claims = { dept = "eng" }
address = "203.0.113.7"
"""


@pytest.fixture
def files(directory: Path) -> Path:
    (directory / "policy.toml").write_text(POLICY)
    (directory / "cases.toml").write_text(CASES)
    return directory


def test_a_good_policy_is_counted(run, files):
    ended = run("policy", "check", "policy.toml", "--claim", "dept")
    assert (ended.code, ended.out, ended.err) == (0, "policy.toml: 2 rules, 1 that deny and 1 that allow\n", "")


def test_claims_of_the_settings_are_known(run, files):
    (files / "h.toml").write_text('[client.token]\nhmac_secret_key = "x"\n[policy]\nclaims = ["dept"]\n')
    assert run("policy", "check", "policy.toml", "--config", "h.toml").code == 0


def test_every_problem_is_told_with_its_place(run, files):
    (files / "policy.toml").write_text(POLICY.replace("roles)", "rolls)"))
    ended = run("policy", "check", "policy.toml")
    assert ended.code == 2
    assert ended.problems == [
        "heliograph: policy.toml: rules[0].condition: line 1, column 38: undeclared reference to 'rolls'",
        "heliograph: policy.toml: rules[1].condition: line 1, column 7: unknown claim dept: policy.claims does not keep it",
    ]


def test_cases_come_out_as_expected(run, files):
    ended = run("policy", "test", "policy.toml", "--cases", "cases.toml", "--claim", "dept")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "ok   at night: deny by no-writing-at-night",
        "ok   cases[1]: allow by default",
        "ok   from the office: allow by engineers-from-the-office",
        "ok   from elsewhere: deny by default",
        "4 of 4 cases as expected",
    ]


def test_a_case_that_comes_out_otherwise_ends_with_2(run, files):
    wrong = CASES.replace('expect = "deny"\nrule = "default"', 'expect = "allow"\nrule = "engineers-from-the-office"')
    (files / "cases.toml").write_text(wrong)
    ended = run("policy", "test", "policy.toml", "--cases", "cases.toml", "--claim", "dept")
    assert ended.code == 2
    assert "FAIL from elsewhere: deny by default" in ended.out.splitlines()
    assert ended.problems == [
        "heliograph: cases.toml: from elsewhere: deny by default instead of allow by engineers-from-the-office"
    ]


def test_cases_in_json_do_too(run, files):
    case = {"expect": "allow", "action": "publish", "otherwise": "allow", "at": "2026-11-25T12:00:00Z"}
    (files / "cases.json").write_text(json.dumps({"cases": [case]}))
    assert run("policy", "test", "policy.toml", "--cases", "cases.json", "--claim", "dept").code == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[cases]]\n", "cases.toml: Object missing required field `expect`"),
        ('[[cases]]\nexpect = "deny"\naction = "fly"\n', "cases.toml: cases[0].action: must be one of connect"),
        (
            '[[cases]]\nexpect = "deny"\naction = "publish"\nat = 2026-11-25T02:00:00\n',
            "cases.toml: cases[0].at: must name its zone",
        ),
        ("[[", "cases.toml: cannot be read"),
        ("", "cases.toml: Object missing required field `cases`"),
    ],
)
def test_cases_that_cannot_be_read(run, files, text, problem):
    (files / "cases.toml").write_text(text)
    ended = run("policy", "test", "policy.toml", "--cases", "cases.toml", "--claim", "dept")
    assert ended.code == 2
    assert ended.problems[0].startswith(f"heliograph: {problem}")


def test_files_that_are_not_there(run, files):
    assert run("policy", "check", "absent.toml").problems == [
        "heliograph: absent.toml: cannot be read: No such file or directory"
    ]


def test_a_server_takes_keys_and_policies(run, files, launch):
    settings = files / "h.toml"
    settings.write_text(settings.read_text() + '\n[policy]\nclaims = ["dept"]\n')
    server = launch("serve", "--port", "0").greeted()
    where = ("--url", server.url, "--api-key", server.key)

    made = run("key", "create", "billing", "--method", "publish", "--channel", "n*", "--rate", "50", "--ttl", "1h", *where)
    key, key_id = made.out.strip(), made.err.split()[1]
    assert re.fullmatch(rf"hgk_{key_id}_[\w-]{{43}}", key)

    def status(text, channel="news"):
        body = json.dumps({"channel": channel, "data": {}}).encode()
        request = urllib.request.Request(f"{server.url}/api/publish", body, {"X-API-Key": text})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return next(iter(json.load(response)))
        except urllib.error.HTTPError as exc:
            return exc.code

    assert (status(key), status(key, "other"), status(key + "x")) == ("result", "error", 401)
    listed = run("key", "list", *where).out
    assert listed.startswith(f"{key_id} billing methods=publish rate_per_s=50.0 channels=n* expire_at=") and key not in listed
    second = run("key", "rotate", key_id, "--grace", "0s", *where).out.strip()
    assert (status(key), status(second)) == (401, "result")

    assert run("policy", "put", "policy.toml", "--comment", "nights", *where).out == "version 1\n"
    assert run("policy", "put", "policy.toml", "--dry-run", *where).out == "version 2\n"
    (files / "shut.json").write_text('{"rules":[{"name":"shut","effect":"deny","actions":["call"]}]}')
    assert run("policy", "put", "shut.json", *where).out == "version 3\n"
    assert status(second) == "error"
    assert run("policy", "rollback", "1", *where).out == "version 4\n"
    assert status(second) == "result"
    versions = [line.split()[:2] for line in run("policy", "list", *where).out.splitlines()]
    assert versions == [["4", "enforced"], ["3", "enforced"], ["2", "dry_run"], ["1", "enforced"]]
    (files / "bad.json").write_text('{"rules":[{"name":"a","effect":"deny","actions":["call"],"condition":"("}]}')
    refused = run("policy", "put", "bad.json", *where)
    assert refused.code == 2 and "rules[0].condition: line 1, column 2" in refused.err

    assert run("key", "revoke", key_id, *where).out == f"{key_id} revoked\n"
    assert status(second) == 401
    _, metrics = server.get("/metrics")
    assert 'heliograph_denials_total{action="api.call",rule="policy:shut"} 1.0' in metrics
    assert 'heliograph_policy_rules{mode="enforced"} 2.0' in metrics


def test_a_server_does_not_start_with_a_policy_that_it_cannot_use(files, launch):
    settings = files / "h.toml"
    settings.write_text(settings.read_text() + '\n[policy]\nfile = "policy.toml"\n')
    server = launch("serve", "--port", "0")
    assert server.process.wait(60) == 2
    assert "policy.file: policy.toml: rules[1].condition: line 1, column 7: unknown claim dept" in server.log
    assert "Traceback" not in server.log
