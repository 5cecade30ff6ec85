"""The API's side of logins."""

from typing import Any

import msgspec
import pytest

from broker.errors import BadInput, NotFound
from gateway.api.errors import ApiFailure
from gateway.issuing.methods import issuing_methods
from gateway.issuing.metrics import IssuingCollector


async def call(issuer: Any, name: str, **body: Any) -> Any:
    [method] = [one for one in issuing_methods(issuer and issuer.service) if one.name == name]
    result = await method.handle(msgspec.json.decode(msgspec.json.encode(body), type=method.request))
    return msgspec.json.decode(msgspec.json.encode(result))


async def test_a_login_is_begun_listed_and_ended(issuer: Any) -> None:
    made = await call(issuer, "token_issue", user="ann", claims={"info": {"n": 1}}, ttl_s=60)
    assert made.keys() == {"access_token", "expires_in", "refresh_token", "refresh_expires_in", "family"}
    assert issuer.verifier.connection(made["access_token"]).info == b'{"n":1}'
    issuer.clock.move(30)
    await issuer.service.refresh(made["refresh_token"])
    began = issuer.clock.now().timestamp() - 30
    item = {
        "id": made["family"],
        "created_at": began,
        "refreshed_at": began + 30,
        "refreshes": 1,
        "expires_at": began + 30 + 30 * 86400,
    }
    assert await call(issuer, "token_family_list", user="ann") == {"items": [item]}
    assert await call(issuer, "token_family_revoke", id=made["family"]) == {"ended": 1}
    [ended] = (await call(issuer, "token_family_list", user="ann"))["items"]
    assert ended == item | {"ended_at": began + 30, "reason": "api"}
    assert await call(issuer, "token_family_revoke", user="ann") == {"ended": 0}


async def test_claims_may_be_left_out(issuer: Any) -> None:
    made = await call(issuer, "token_issue", user="ann")
    assert issuer.verifier.connection(made["access_token"]).user == "ann"
    assert made["expires_in"] == 600


@pytest.mark.parametrize("body", [{}, {"id": "x", "user": "ann"}])
async def test_one_of_both_must_be_named(issuer: Any, body: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="id"):
        await call(issuer, "token_family_revoke", **body)


async def test_unknown_logins_and_users_without_a_name_are_errors(issuer: Any) -> None:
    with pytest.raises(NotFound):
        await call(issuer, "token_family_revoke", id="x")
    with pytest.raises(BadInput, match="user"):
        await call(issuer, "token_family_list", user="")
    with pytest.raises(BadInput, match="user"):
        await call(issuer, "token_issue", user="")


@pytest.mark.parametrize("name", ["token_issue", "token_family_list", "token_family_revoke"])
async def test_all_of_it_can_be_off(name: str) -> None:
    with pytest.raises(ApiFailure, match=r"108 .*client\.token\.issue is off"):
        await call(None, name, user="ann")


async def test_pairs_are_counted_by_what_was_done(issuer: Any) -> None:
    pair = await issuer.issue()
    await issuer.service.refresh(pair.refresh_token)
    [metric] = IssuingCollector(issuer.service).collect()
    counts = {sample.labels["outcome"]: sample.value for sample in metric.samples}
    assert counts == {"issued": 1, "refreshed": 1, "repeated": 0, "refused": 0, "reused": 0}
