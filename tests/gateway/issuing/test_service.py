"""Logins: pairs that follow from one another, and what happens when somebody else has a token too."""

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from broker.audit import AuditFilter
from broker.durable_revocation import DurableRevocation
from broker.engines.memory.revocation import MemoryRevocation
from broker.errors import BadInput, NotFound
from broker.token_families import EndReason
from gateway.auth.errors import InvalidToken, TokenRevoked
from gateway.issuing.service import CLAIMS_MAX_BYTES, Outcome, RefreshRefused


async def refused(issuer: Any, token: str) -> str:
    with pytest.raises(RefreshRefused) as refusal:
        await issuer.service.refresh(token)
    assert not token or token not in str(refusal.value)
    return str(refusal.value)


# Access tokens


async def test_an_access_token_lets_its_user_in(issuer: Any) -> None:
    pair = await issuer.issue(claims=b'{"info":{"name":"Ann"},"channels":["news"],"meta":{"plan":"pro"},"role":"editor"}')
    claims = issuer.verifier.connection(pair.access_token)
    assert (claims.user, claims.info, claims.meta) == ("ann", b'{"name":"Ann"}', b'{"plan":"pro"}')
    assert list(claims.subs) == ["news"]
    assert claims.token_id == pair.family_id
    assert claims.expire_at == issuer.clock.now().timestamp() + 600 == claims.issued_at + pair.access_s
    assert pair.refresh_s == 30 * 86400


async def test_how_long_it_lasts_can_be_said(issuer: Any) -> None:
    assert (await issuer.issue(ttl_s=1)).access_s == 1
    pair = await issuer.issue(ttl_s=86400)
    assert pair.access_s == 86400
    assert (await issuer.service.refresh(pair.refresh_token)).access_s == 86400


@pytest.mark.parametrize("ttl_s", [-1, 86401, float("inf"), float("nan")])
async def test_it_lasts_no_longer_than_it_may(issuer: Any, ttl_s: float) -> None:
    with pytest.raises(BadInput, match="ttl_s"):
        await issuer.issue(ttl_s=ttl_s)


@pytest.mark.parametrize("user", ["", "a\0b", "x" * 5000, "\ud800"])
async def test_a_user_must_be_one(issuer: Any, user: str) -> None:
    with pytest.raises((BadInput, UnicodeEncodeError)):
        await issuer.issue(user)


@pytest.mark.parametrize(
    ("claims", "rule"),
    [
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
        (b'{"a":', "must be an object"),
        (b'{"exp":1}', "must not hold exp"),
        (b'{"sub":"eve","iss":"x"}', "must not hold iss, sub"),
        (b'{"channel":"x"}', "must not hold channel"),
        (b'{"jti":"x"}', "must not hold jti"),
        (b'{"expire_at":0}', "must not hold expire_at"),
        (b'{"caps":[{"channels":["x"],"allow":["fly"]}]}', "caps"),
        (b'{"b64info":"%"}', "b64info"),
        (b'{"channels":7}', "wrong type"),
        (b'{"info":"%s"}' % (b"x" * CLAIMS_MAX_BYTES), "at most 8192 bytes"),
    ],
)
async def test_claims_that_would_not_be_believed_are_refused(issuer: Any, claims: bytes, rule: str) -> None:
    with pytest.raises(BadInput, match=rule):
        await issuer.issue(claims=claims)
    assert await issuer.service.of_user("ann") == []


@pytest.mark.parametrize(
    "key",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: ed25519.Ed25519PrivateKey.generate(),
        lambda: rsa.generate_private_key(65537, 2048),
    ],
)
async def test_every_kind_of_key_signs(issuer: Any, private_pem: Any, key: Any) -> None:
    issuer.make(signing_key=private_pem(key()))
    pair = await issuer.issue()
    assert issuer.verifier.connection(pair.access_token).user == "ann"
    await issuer.service.refresh(pair.refresh_token)


async def test_keys_are_replaced_without_a_logout(issuer: Any, private_pem: Any) -> None:
    old = private_pem(ed25519.Ed25519PrivateKey.generate())
    issuer.make(signing_key=old)
    pair = await issuer.issue()
    issuer.make(previous_signing_key=old)
    assert issuer.verifier.connection(pair.access_token).user == "ann"
    first = await issuer.service.refresh(pair.refresh_token)
    assert (await issuer.service.refresh(pair.refresh_token)).refresh_token == first.refresh_token
    issuer.make()
    with pytest.raises(InvalidToken):
        issuer.verifier.connection(pair.access_token)
    second = await issuer.service.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token


async def test_a_token_that_nobody_has_a_key_for_any_more_still_refreshes_once(issuer: Any) -> None:
    pair = await issuer.issue()
    issuer.make(signing_key="a quite different key of thirty-two bytes or more")
    assert (await issuer.service.refresh(pair.refresh_token)).access_s == 600
    # Its number is known, but not that it was ours: nobody is logged out by what may be a guess.
    issuer.clock.move(60)
    assert await refused(issuer, pair.refresh_token) == "forged"
    assert issuer.told.commands == []


# Refreshing


async def test_pairs_follow_from_one_another(issuer: Any) -> None:
    pair = await issuer.issue(claims=b'{"info":{"n":1}}')
    seen = {pair.refresh_token}
    for number in range(1, 6):
        issuer.clock.move(500)
        pair = await issuer.service.refresh(pair.refresh_token)
        claims = issuer.verifier.connection(pair.access_token)
        assert (claims.user, claims.info) == ("ann", b'{"n":1}')
        assert pair.refresh_s == 30 * 86400
        seen.add(pair.refresh_token)
        [family] = await issuer.service.of_user("ann")
        assert (family.generation, family.rotated_at) == (number + 1, issuer.clock.now())
    assert len(seen) == 6
    assert issuer.service.counts == {
        Outcome.ISSUED: 1,
        Outcome.REFRESHED: 5,
        Outcome.REPEATED: 0,
        Outcome.REFUSED: 0,
        Outcome.REUSED: 0,
    }


async def test_an_answer_that_got_lost_is_given_again(issuer: Any) -> None:
    pair = await issuer.issue()
    issuer.clock.move(100)
    first = await issuer.service.refresh(pair.refresh_token)
    issuer.clock.move(9.5)
    again = await issuer.service.refresh(pair.refresh_token)
    assert (again.access_token, again.refresh_token) == (first.access_token, first.refresh_token)
    assert again.access_s == first.access_s - 9.5
    await issuer.service.refresh(first.refresh_token)


async def test_of_many_at_once_one_rotates_and_all_get_the_same_pair(issuer: Any) -> None:
    pair = await issuer.issue()
    pairs = await asyncio.gather(*(issuer.service.refresh(pair.refresh_token) for _ in range(20)))
    assert len({(one.access_token, one.refresh_token) for one in pairs}) == 1
    assert (issuer.service.counts[Outcome.REFRESHED], issuer.service.counts[Outcome.REPEATED]) == (1, 19)


async def test_without_grace_a_twin_ends_the_login(issuer: Any) -> None:
    issuer.make(retry_grace="0s")
    pair = await issuer.issue()
    await issuer.service.refresh(pair.refresh_token)
    assert await refused(issuer, pair.refresh_token) == "used before"


@pytest.mark.parametrize("uses_next", [False, True])
async def test_a_token_used_twice_ends_the_login_for_both(issuer: Any, uses_next: bool) -> None:
    stolen = await issuer.issue()
    issuer.clock.move(60)
    thief = await issuer.service.refresh(stolen.refresh_token)
    if uses_next:
        thief = await issuer.service.refresh(thief.refresh_token)  # then grace is over at once
    else:
        issuer.clock.move(10)
    assert await refused(issuer, stolen.refresh_token) == "used before"
    assert await refused(issuer, thief.refresh_token) == "ended: reused"
    assert await refused(issuer, stolen.refresh_token) == "ended: reused"
    for token in (stolen.access_token, thief.access_token):
        with pytest.raises(TokenRevoked):
            issuer.verifier.connection(token)
    assert issuer.told.distrusted == [stolen.family_id]
    assert issuer.service.counts[Outcome.REUSED] == 1


async def test_a_token_from_long_ago_ends_the_login_too(issuer: Any) -> None:
    pair = first = await issuer.issue()
    for _ in range(50):
        issuer.clock.move(600)
        pair = await issuer.service.refresh(pair.refresh_token)
    assert await refused(issuer, first.refresh_token) == "used before"
    assert await refused(issuer, pair.refresh_token) == "ended: reused"


async def test_refusals_are_audited_where_there_is_somebody_to_name(issuer: Any) -> None:
    pair = await issuer.issue()
    await issuer.service.refresh(pair.refresh_token)
    issuer.clock.move(60)
    for token in ("rubbish", pair.refresh_token, pair.refresh_token):
        await refused(issuer, token)
    await issuer.store.audit.settle()
    found, _ = await issuer.store.audit.search(AuditFilter(action="token.refresh"), limit=9)
    acts = [one.record.act for one in found]
    assert sorted((act.decision, act.resource, act.user, act.rule) for act in acts) == [
        ("denied", f"token_family:{pair.family_id}", "ann", "ended: reused"),
        ("denied", f"token_family:{pair.family_id}", "ann", "used before"),
    ]


async def test_other_logins_go_on(issuer: Any) -> None:
    phone, laptop = await issuer.issue(), await issuer.issue()
    await issuer.service.refresh(phone.refresh_token)
    issuer.clock.move(60)
    await refused(issuer, phone.refresh_token)
    issuer.verifier.connection((await issuer.service.refresh(laptop.refresh_token)).access_token)


async def test_what_is_no_token_of_ours_gives_and_ends_nothing(issuer: Any) -> None:
    pair = await issuer.issue()
    prefix, family, _, proof = pair.refresh_token.split("_")
    other = await issuer.issue("ben")
    issuer.clock.move(60)
    for forged in (
        "",
        "x" * 100_000,
        pair.access_token,
        pair.refresh_token + "\n",
        pair.refresh_token.upper(),
        f"{prefix}_{family}_2_{proof}",
        f"{prefix}_{family}_0_{proof}",
        f"{prefix}_{family}_01_{proof}",
        f"{prefix}_{family}_1_{'0' * 64}",
        f"{prefix}_{family}_999999999_{proof}",
        f"{prefix}_{'0' * 32}_1_{proof}",
        other.refresh_token.replace(other.family_id, family),
    ):
        await refused(issuer, forged)
        await issuer.service.revoke(forged)
    assert issuer.told.commands == []
    await issuer.service.refresh(pair.refresh_token)


async def test_an_idle_login_ends_and_so_does_the_longest(issuer: Any) -> None:
    issuer.make(refresh_ttl="1h", family_ttl="90m")
    idle, busy = await issuer.issue(), await issuer.issue()
    issuer.clock.move(3599)
    busy = await issuer.service.refresh(busy.refresh_token)
    assert busy.refresh_s == 90 * 60 - 3599
    issuer.clock.move(1)
    assert await refused(issuer, idle.refresh_token) == "expired"
    issuer.clock.move(1799)
    assert (await issuer.service.refresh(busy.refresh_token)).refresh_s == 1
    issuer.clock.move(1)
    assert await refused(issuer, busy.refresh_token) == "expired"


# Ending


async def test_a_logout_ends_the_login_at_once(issuer: Any) -> None:
    pair = await issuer.issue()
    await issuer.service.revoke(pair.refresh_token)
    await issuer.service.revoke(pair.refresh_token)
    assert await refused(issuer, pair.refresh_token) == "ended: logout"
    with pytest.raises(TokenRevoked):
        issuer.verifier.connection(pair.access_token)
    assert issuer.told.distrusted == [pair.family_id]


async def test_an_older_token_logs_out_too(issuer: Any) -> None:
    old = await issuer.issue()
    new = await issuer.service.refresh(old.refresh_token)
    issuer.clock.move(3600)
    await issuer.service.revoke(old.refresh_token)
    assert await refused(issuer, new.refresh_token) == "ended: logout"


async def test_the_api_ends_one_or_all(issuer: Any) -> None:
    first, second, other = await issuer.issue(), await issuer.issue(), await issuer.issue("ben")
    await issuer.service.end(first.family_id)
    assert await refused(issuer, first.refresh_token) == "ended: api"
    assert await issuer.service.end_all("ann") == 1
    assert await issuer.service.end_all("ann") == 0
    assert await refused(issuer, second.refresh_token) == "ended: api"
    await issuer.service.refresh(other.refresh_token)
    with pytest.raises(NotFound):
        await issuer.service.end("0" * 32)


async def test_all_are_ended_however_many_are_newer(issuer: Any) -> None:
    oldest = await issuer.issue()
    for _ in range(101):  # one more than a list tells
        issuer.clock.move(1)
        await issuer.issue()
    assert await issuer.service.end_all("ann") == 102
    assert await refused(issuer, oldest.refresh_token) == "ended: api"


async def test_a_word_that_was_not_said_is_said_later(issuer: Any) -> None:
    pair = await issuer.issue()
    await issuer.store.token_families.end(pair.family_id, EndReason.REUSED, at=issuer.clock.now())
    issuer.verifier.connection(pair.access_token)  # whoever ended it got no further
    await refused(issuer, pair.refresh_token)
    with pytest.raises(TokenRevoked):
        issuer.verifier.connection(pair.access_token)
    issuer.clock.move(600 + 301)
    issuer.told.commands.clear()
    await refused(issuer, pair.refresh_token)
    assert issuer.told.commands == []


async def test_a_blocked_user_refreshes_nothing_until_the_block_is_over(issuer: Any) -> None:
    pair = await issuer.issue()
    await issuer.revocation.block_user("ann", until=issuer.clock.now().timestamp() + 60)
    assert await refused(issuer, pair.refresh_token) == "the user is blocked"
    issuer.clock.move(60)
    await issuer.service.refresh(pair.refresh_token)


async def test_logins_from_before_a_revocation_refresh_nothing(issuer: Any) -> None:
    pair = await issuer.issue()
    issuer.clock.move(60)
    now = issuer.clock.now().timestamp()
    await issuer.revocation.revoke_user_tokens("ann", issued_before=now, until=now + 86400)
    assert await refused(issuer, pair.refresh_token) == "the user's tokens were revoked"
    later = await issuer.issue()
    issuer.verifier.connection(later.access_token)
    await issuer.service.refresh(later.refresh_token)


async def test_what_was_ended_stays_so_in_the_next_process(issuer: Any) -> None:
    pair = await issuer.issue()
    await issuer.service.revoke(pair.refresh_token)
    issuer.revocation = DurableRevocation(MemoryRevocation(issuer.clock), issuer.store.revocations)
    issuer.make()
    assert await issuer.revocation.restore() == 1
    with pytest.raises(TokenRevoked):
        issuer.verifier.connection(pair.access_token)
    await refused(issuer, pair.refresh_token)


async def test_the_store_holds_nothing_that_opens_anything(issuer: Any, tmp_path: Any) -> None:
    pair = await issuer.issue()
    pair = await issuer.service.refresh(pair.refresh_token)
    proof = pair.refresh_token.rpartition("_")[2]
    files = [path.read_bytes() for path in tmp_path.glob("store.db*")]
    assert files
    for secret in (proof.encode(), bytes.fromhex(proof), pair.access_token.encode(), b"the key that signs"):
        assert not any(secret in content for content in files)
