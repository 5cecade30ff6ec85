"""Login, sessions, rights and headers of the operator's page, asked as browsers ask, and as those who are none."""

import re
from typing import Any

import pytest

from broker.pipeline_reports import CarrierReport, PipelineReport
from gateway.admin.attempts import Attempts

PASSWORD = "correct horse battery"
ACTS = ("logout", "live", "api/channels", "api/disconnect")


async def test_logs_in_tells_and_logs_out(site):
    one = await site()
    assert (await one.http.get("/admin/session")).json() == {}
    answer = await one.log_in()
    told = answer.json()
    assert (told["name"], told["role"], told["ends_at"]) == ("ann", "operator", one.world.now() + 28_800)
    assert (await one.http.get("/admin/session")).json() == told
    assert (await one.post("api/channels")).json() == {"result": {"channels": {}}}
    cookie = one.http.cookies["heliograph-8000"]

    assert (await one.post("logout")).json() == {}
    assert "heliograph-8000" not in one.http.cookies
    one.http.cookies.set("heliograph-8000", cookie)  # somebody has kept it
    assert (await one.http.get("/admin/session")).json() == {}
    assert (await one.post("api/channels")).status_code == 401


@pytest.mark.parametrize(
    ("https", "name", "rules"),
    [
        (False, "heliograph-8000", {"HttpOnly", "SameSite=strict", "Path=/admin"}),
        (True, "__Host-heliograph", {"Secure", "HttpOnly", "SameSite=strict", "Path=/"}),
    ],
)
async def test_the_cookie_goes_nowhere_else(site, https, name, rules):
    one = await site(https=https)
    cookie, *attributes = (await one.log_in()).headers["set-cookie"].split("; ")
    assert cookie.startswith(f"{name}=")
    assert rules <= set(attributes)
    assert not any(attribute.startswith("Domain") for attribute in attributes)
    assert ("Secure" in attributes) is https


async def test_wrong_and_unknown_are_answered_alike(site):
    one = await site()
    wrong, unknown = await one.log_in(password="wrong password"), await one.log_in("nobody")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    assert dict(wrong.headers) == dict(unknown.headers)
    assert not one.http.cookies


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"name": "ann", "password": PASSWORD}, {"Origin": "https://evil.example"}, 403),
        ({"name": "ann", "password": PASSWORD}, {"Origin": ""}, 403),
        ({"name": "ann", "password": PASSWORD}, {"Origin": "null"}, 403),
        ({"name": "ann", "password": PASSWORD}, {"Sec_Fetch_Site": "cross-site"}, 403),
        ({"name": "ann", "password": PASSWORD}, {"Host": "evil.example:8000"}, 403),
        ({"name": "ann", "password": PASSWORD}, {"Content_Type": "text/plain"}, 415),
        ({"name": "ann"}, {}, 400),
        ({"name": "ann", "password": PASSWORD, "role": "operator"}, {}, 400),
        ({"name": "ann", "password": ["x"]}, {}, 400),
        ({"name": "a" * 65, "password": PASSWORD}, {}, 400),
        ({"name": "ann", "password": "x" * 4000}, {}, 413),
        ([], {}, 400),
    ],
)
async def test_a_login_that_is_none(site, body, headers, status):
    one = await site()
    answer = await one.post("login", body, **headers)
    assert answer.status_code == status
    assert not one.http.cookies
    assert PASSWORD not in answer.text


async def test_guessing_locks_out_the_place_and_in_the_end_the_name(site):
    one = await site()
    for _ in range(10):
        assert (await one.log_in(password="wrong password")).status_code == 401
    refused = await one.log_in()
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 20
    one.world.clock.move(20)
    assert (await one.log_in()).status_code == 200
    denied = [record.record for record in await one.audited("admin.login") if record.record.act.decision == "denied"]
    assert {record.act.rule for record in denied} == {"admin.users", "admin.attempts"}


async def test_a_name_is_patient_for_longer_than_a_place(site):
    one = await site()
    counted = Attempts(one.world.node, None, one.world.clock)
    waits = [counted.count(f"192.0.2.{number // 5}", "ann") for number in range(40)]
    assert waits[:30] == [0] * 30
    assert all(wait > 0 for wait in waits[30:])
    assert counted.count("192.0.2.99", "bob") == 0
    networks = [counted.count(f"2001:db8::{number:x}", f"user{number}") for number in range(12)]
    assert networks[:10] == [0] * 10 and networks[10] > 0  # one network of IPv6 is one place


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X_CSRF_Token": ""}, 403),
        ({"X_CSRF_Token": "A" * 43}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Cookie": "heliograph-8000=forged"}, 401),
    ],
)
async def test_only_the_page_itself_acts(site, act, headers, status):
    one = await site()
    await one.log_in()
    if "Cookie" in headers:
        one.http.cookies.clear()
    answer = await one.post(act, {"user": "42"}, **headers)
    assert answer.status_code == status
    assert (await one.audited("user.disconnected")) == []


async def test_another_session_does_not_lend_its_word(site):
    one = await site()
    await one.log_in()
    word = one.csrf
    await one.log_in()
    assert (await one.post("api/channels", X_CSRF_Token=word)).status_code == 403
    assert (await one.post("api/channels")).status_code == 200


async def test_a_session_ends_by_itself(site):
    one = await site(session_ttl="10m")
    await one.log_in()
    one.world.clock.move(599)
    assert (await one.post("api/channels")).status_code == 200
    one.world.clock.move(2)
    assert (await one.post("api/channels")).status_code == 401
    assert (await one.http.get("/admin/figures")).status_code == 401


async def test_whoever_may_only_look_is_refused_what_acts(site):
    one = await site()
    await one.log_in("rob")
    methods = (await one.http.get("/admin/api/methods")).json()["methods"]
    assert "dead_letter_list" in methods and "disconnect" not in methods
    for method in ("disconnect", "dead_letter_replay", "block_user"):
        answer = await one.post(f"api/{method}", {"user": "42"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, 403)
    (denied, *_) = await one.audited("admin.call")
    assert (str(denied.record.caller.actor.kind), denied.record.caller.actor.name) == ("operator", "rob")
    assert (denied.record.act.decision, denied.record.act.resource) == ("denied", "api:disconnect")
    assert (await one.post("api/dead_letter_list")).json()["result"] == {"items": [], "next_cursor": ""}


@pytest.mark.parametrize("method", ["user_erase", "publish", "batch", "nothing", "api_key_create"])
async def test_what_is_not_on_the_list_is_not_there_for_anybody(site, method):
    one = await site()
    await one.log_in()
    assert (await one.post(f"api/{method}", {"user": "42"})).status_code == 404


async def test_an_operator_disconnects_and_the_audit_knows_who(site):
    one = await site()
    client = one.world.connected("42")
    await one.log_in()
    assert (await one.post("api/disconnect", {"user": "42"})).json() == {"result": {}}
    client.read()
    assert client.closed == (3503, "force disconnect")
    (called,) = await one.audited("admin.call")
    assert called.record.caller.actor.name == "ann"
    assert (called.record.caller.address, called.record.caller.transport) == ("192.0.2.7", "admin")
    assert called.record.act.resource == "api:disconnect"


async def test_what_a_method_refuses_is_told_as_the_api_tells_it(site):
    one = await site()
    await one.log_in()
    answer = await one.post("api/dead_letter_list", {"provider": "pigeon"})
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == 107 and "provider" in answer.json()["error"]["message"]
    assert (await one.post("api/history", {"channel": 5})).status_code == 400


async def test_a_login_is_written_down_and_no_typed_password_is(site):
    one = await site()
    await one.log_in(PASSWORD, "ann")  # in the wrong fields
    await one.log_in(password="wrong password")
    await one.log_in()
    await one.post("logout")
    logins = [sealed.record for sealed in await one.audited("admin.login")]
    assert [(one.act.decision, one.act.resource, one.caller.actor.name) for one in logins] == [
        ("denied", "", ""),
        ("denied", "operator:ann", ""),
        ("granted", "operator:ann", "ann"),
    ]
    assert len(await one.audited("admin.logout")) == 1
    assert PASSWORD not in repr(logins)


async def test_figures_are_told_to_those_who_have_logged_in(site):
    one = await site()
    assert (await one.http.get("/admin/figures")).status_code == 401
    one.world.connected("42")
    await one.log_in("rob")
    figures = (await one.http.get("/admin/figures")).json()
    assert figures["node"]["clients"] == 1
    assert [lane["lane"] for lane in figures["lanes"]] == ["critical", "high", "normal", "bulk"]
    assert figures["nodes"][0]["uid"] == figures["node"]["uid"]
    assert (figures["missing"], figures["pipelines"], figures["certificates"]) == ([], [], {})
    assert figures["health"]["state"] == "ready"


async def test_the_pipelines_of_all_processes_are_told_our_own_as_it_is_now(site):
    one = await site()
    now = one.world.clock.now()

    def report(worker: str, breaker: str) -> PipelineReport:
        carrier = CarrierReport("fcm", breaker, 0, 0, 3, rate_share=0.5)
        return PipelineReport(worker, worker, now, {"accepted": 3}, [carrier], ["a concern"])

    for worker in ("other", "own"):
        await one.store.pipeline_reports.report(report(worker, "open"))
    one.desk.own_pipeline = lambda: report("own", "closed")
    await one.log_in("rob")
    told = (await one.http.get("/admin/figures")).json()["pipelines"]
    assert [(each["worker"], each["here"], each["carriers"][0]["breaker"]) for each in told] == [
        ("own", True, "closed"),
        ("other", False, "open"),
    ]
    assert [each["carriers"][0]["rate_share"] for each in told] == [0.5, 0.5]
    assert (told[1]["at"], told[1]["deliveries"], told[1]["concerns"]) == (now.timestamp(), {"accepted": 3}, ["a concern"])


@pytest.mark.parametrize(
    "path", ["/admin", "/admin/main.js", "/admin/admin.css", "/admin/client.js", "/admin/session", "/admin/nothing"]
)
async def test_every_answer_keeps_browsers_from_more_than_it_is_for(site, path):
    one = await site()
    answer = await one.http.get(path)
    policy: dict[str, Any] = dict(
        part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy.get("script-src", "'self'") == policy.get("style-src", "'self'") == "'self'"
    assert policy.get("connect-src", "").replace("'self' ws://127.0.0.1:8000", "") == ""
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"


async def test_the_page_has_no_script_or_style_of_its_own(site):
    one = await site()
    page = (await one.http.get("/admin")).text
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*src=)|javascript:|https?://", page)
    looked_at: set[str] = set()
    names = set(re.findall(r'"/admin/([\w.]+)"', page))
    while missing := names - looked_at:
        name = missing.pop()
        looked_at.add(name)
        file = await one.http.get(f"/admin/{name}")
        assert file.status_code == 200, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(", file.text), name
        names |= set(re.findall(r'from "/admin/([\w.]+)"', file.text))
    assert {"audit.js", "client.js", "dom.js", "mark.svg"} <= looked_at


@pytest.mark.parametrize("path", ["/admin", "/admin/main.js", "/admin/session"])
async def test_is_not_served_where_a_password_would_be_read_by_others(site, path):
    one = await site()
    answer = await one.http.get(path, headers={"Host": "ops.example.com"})
    assert answer.status_code == 403
    assert "admin.origin" in answer.text


async def test_behind_a_proxy_that_ends_tls(site):
    one = await site(origin="https://ops.example.com")
    answer = await one.log_in(Host="10.0.0.7:8000")
    assert answer.status_code == 200
    assert answer.headers["set-cookie"].startswith("__Host-heliograph=")
    assert "wss://ops.example.com" in (await one.http.get("/admin")).headers["content-security-policy"]
