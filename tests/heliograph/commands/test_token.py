import asyncio
import math

import jwt
import pytest

from broker.revocation_records import RevocationWord, WordKind
from broker.store.store import open_store
from config.clock import ManualClock, SystemClock
from config.settings import Settings
from gateway.auth.tokens import TokenVerifier
from heliograph.commands.token import make_token

SECRET = "a secret that is longer than thirty-two bytes"
NOW = int(ManualClock().now().timestamp())


class NothingRevoked:
    def is_revoked(self, *, user: str, token_id: str, issued_at: float, channel: str = "") -> bool:
        return False


def settings_of(**token) -> Settings:
    return Settings.model_validate({"client": {"token": {"hmac_secret_key": SECRET} | token}})


def test_makes_what_the_server_accepts() -> None:
    settings = settings_of(audience="a", issuer="i", user_id_claim="uid")
    verifier = TokenVerifier(settings.client.token, revocation=NothingRevoked(), clock=ManualClock())

    claims = verifier.connection(make_token(settings, user="42", channel=None, ttl_s=60, now=NOW))
    assert (claims.user, claims.expire_at, claims.issued_at) == ("42", NOW + 60, NOW)
    subscription = verifier.subscription(make_token(settings, user="42", channel="$team", ttl_s=60, now=NOW))
    assert (subscription.user, subscription.channel) == ("42", "$team")


def test_signs_subscription_tokens_with_their_own_secret() -> None:
    other = "another secret that is longer than thirty-two bytes"
    client = {"token": {"hmac_secret_key": SECRET}, "subscription_token": {"enabled": True, "hmac_secret_key": other}}
    settings = Settings.model_validate({"client": client})

    token = make_token(settings, user="42", channel="$team", ttl_s=60, now=NOW)
    jwt.decode(token, other, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})


def test_prints_the_token_alone(run, directory) -> None:
    (directory / "h.toml").write_text(f'client.token.hmac_secret_key = "{SECRET}"\n')
    ended = run("token", "create", "--user", "42", "--config", "h.toml", "--ttl", "90")
    claims = jwt.decode(ended.out.strip(), SECRET, algorithms=["HS256"])

    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("42", 90)


@pytest.mark.parametrize(
    ("args", "seconds"), [([], 3600), (["--ttl", "24h"], 86400), (["--ttl", "1m30s"], 90), (["--ttl", "5"], 5)]
)
def test_reads_how_long_a_token_is_valid(run, args, seconds) -> None:
    ended = run("token", "create", "--user", "42", "--dev", *args)
    claims = jwt.decode(ended.out.strip(), options={"verify_signature": False})

    assert claims["exp"] - claims["iat"] == seconds
    assert "channel" not in claims


@pytest.mark.parametrize("ttl", ["soon", "0", "-5", "5 s", "²", ""])
def test_refuses_other_ttls_in_one_line(run, ttl) -> None:
    ended = run("token", "create", "--user", "42", "--dev", f"--ttl={ttl}")

    assert (ended.code, len(ended.problems), ended.out) == (2, 1, "")
    assert "--ttl" in ended.err


@pytest.mark.filterwarnings("ignore:The HMAC key")
def test_signs_with_the_secret_of_the_environment(run, monkeypatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_CLIENT__TOKEN__HMAC_SECRET_KEY", "secret")
    ended = run("token", "create", "--user", "42", "--dev", "--channel", "news")

    assert ended.err == ""
    assert jwt.decode(ended.out.strip(), "secret", algorithms=["HS256"])["channel"] == "news"


def test_says_that_nothing_can_sign(run, directory) -> None:
    assert run("token", "create", "--user", "42").problems == [
        "heliograph: client.token.hmac_secret_key: is not set, so that nothing can be signed (use --config FILE, or --dev)"
    ]


def test_says_that_public_keys_cannot_sign(run, directory, monkeypatch) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    monkeypatch.setenv("HELIOGRAPH_CLIENT__TOKEN__EDDSA_PUBLIC_KEY", public)
    ended = run("token", "create", "--user", "42")

    assert ended.code == 2
    assert ended.problems[0].startswith("heliograph: client.token: holds public keys only")


def test_says_what_a_token_grants_and_ends_well(run, directory) -> None:
    (directory / "h.toml").write_text(f'client.token.hmac_secret_key = "{SECRET}"\n')
    made = run("token", "create", "--user", "42", "--config", "h.toml").out.strip()
    ended = run("token", "inspect", made, "--config", "h.toml")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("accepted: lets user 42 connect\n  kind")
    assert "note: whether it was revoked is not known here" in ended.out
    assert not (directory / "data").exists()


def test_says_why_a_token_is_refused_and_ends_with_1(run, directory) -> None:
    (directory / "h.toml").write_text(f'client.token.hmac_secret_key = "{SECRET}"\n')
    forged = jwt.encode({"sub": "42"}, "another secret that is longer than thirty-two bytes", "HS256")
    ended = run("token", "inspect", f"Bearer {forged}", "--config", "h.toml")
    assert ended.code == 1
    assert ended.out.startswith("REFUSED: token has a wrong signature (disconnect 3500, clients give up)\nwhat to do: ")
    assert forged.rpartition(".")[2] not in ended.out


def test_reads_from_the_store_who_was_revoked(run, directory) -> None:
    async def revoke() -> None:
        store = await open_store(f"sqlite:///{directory}/store.db", clock=SystemClock())
        await store.revocations.keep(RevocationWord(WordKind.TOKEN, "t1", math.inf))
        await store.close()

    asyncio.run(revoke())
    (directory / "h.toml").write_text(
        f'client.token.hmac_secret_key = "{SECRET}"\nstore.url = "sqlite:///{directory}/store.db"\n'
    )
    for token_id, verdict in (("t1", "REFUSED: token was revoked (error 109"), ("t2", "accepted")):
        ended = run("token", "inspect", jwt.encode({"sub": "42", "jti": token_id}, SECRET, "HS256"), "--config", "h.toml")
        assert ended.out.startswith(verdict)
        assert "note:" not in ended.out
