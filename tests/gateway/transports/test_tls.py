"""TLS on the port: whom it speaks with, which certificate it shows, and how that changes under live connections."""

import asyncio
import json
import shutil
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from structlog.testing import capture_logs

from broker.model import Publication, PublishOptions
from config.clock import ManualClock, SystemClock
from config.door_settings import TlsSettings
from config.errors import SettingsError
from gateway.tls import ServerTls

GUARD_S = 30  # only ends a hang
PUBLICATION = {"channel": {"without_namespace": {"allow_subscribe_for_client": True, "allow_publish_for_subscriber": True}}}


def trusting(authority, **attributes):
    context = ssl.create_default_context(cafile=authority.ca_file)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


def settings_of(cert_file, key_file, **more):
    return {"http": {"tls": {"cert_file": str(cert_file), "key_file": str(key_file), **more}}}


def shown_to(peer) -> str:
    """The name in the certificate that a peer was shown."""
    subject = peer.writer.get_extra_info("peercert")["subject"]
    return dict(pair for group in subject for pair in group)["commonName"]


async def refused(gateway, trust) -> bool:
    """Whether somebody gets no answer."""
    try:
        await gateway.knock(trust=trust)
    except (OSError, NotImplementedError):  # the latter from the test's own peer, which cannot end a TLS stream by half
        return True
    return False


def test_clients_talk_over_tls_and_publications_come(run, serving, authority):
    async def scenario():
        async with serving(**settings_of(*authority.issue("one")), **PUBLICATION) as gateway:
            peer = await gateway.subscribed(trust=trusting(authority))
            peer.command(id=3, publish={"channel": "a", "data": "hello"})
            frame = await peer.next()
            told = [json.loads(line) for line in bytes(frame.data).splitlines()]
            assert [one.get("id") for one in told] == [3, None]
            assert told[1]["push"]["pub"]["data"] == "hello"
            assert peer.writer.get_extra_info("ssl_object").version() == "TLSv1.3"

    run(scenario())


@pytest.mark.parametrize(("setting", "told"), [({}, "max-age=2592000"), ({"hsts_max_age": "0"}, None)])
def test_browsers_are_told_to_stay_with_tls_by_every_answer(run, serving, authority, setting, told):
    async def scenario():
        async with serving(**settings_of(*authority.issue("one"), **setting), health={"enabled": True}) as gateway:
            trust = trusting(authority)
            asked = [
                await gateway.ask("GET", "/health", trust=trust),
                await gateway.ask("POST", "/api/info", b"{}", trust=trust),  # whose methods are not here
                await gateway.ask("GET", "/no/such/page", trust=trust),
                await gateway.ask("GET", "/connection/websocket", trust=trust),
            ]
            assert [peer.status for peer in asked] == [200, 404, 404, 426]
            assert {peer.headers.get("strict-transport-security") for peer in asked} == {told}

    run(scenario())


def test_what_is_answered_without_tls_does_not_speak_of_it(run, serving):  # RFC 6797 §7.2
    async def scenario():
        async with serving(health={"enabled": True}, http={"tls": {"hsts_max_age": "24h"}}) as gateway:
            peer = await gateway.ask("GET", "/health", X_Forwarded_Proto="https")
            assert (peer.status, peer.headers.get("strict-transport-security")) == (200, None)

    run(scenario())


def test_a_renewed_certificate_is_shown_to_new_connections_while_old_ones_live_on(run, serving, authority):
    async def scenario():
        cert_file, key_file = authority.issue("first")
        async with serving(**settings_of(cert_file, key_file), **PUBLICATION) as gateway:
            old = await gateway.subscribed(trust=trusting(authority))
            for source, target in zip(authority.issue("second", days=5), (cert_file, key_file), strict=True):
                shutil.move(source, target)
            assert await gateway.tls.renew()
            assert not await gateway.tls.renew()  # nothing has changed since
            new = await gateway.subscribed("7", trust=trusting(authority))
            assert (shown_to(old), shown_to(new)) == ("first", "second")
            new.command(id=3, publish={"channel": "a", "data": 1})
            assert (await old.message())["push"]["pub"]["data"] == 1

    run(scenario())


def test_tls_1_2_sees_the_renewed_certificate_too(run, serving, authority):
    async def scenario():
        cert_file, key_file = authority.issue("first")
        async with serving(**settings_of(cert_file, key_file)) as gateway:
            for source, target in zip(authority.issue("second"), (cert_file, key_file), strict=True):
                shutil.move(source, target)
            assert await gateway.tls.renew()
            old_version = trusting(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
            assert shown_to(await gateway.open(trust=old_version)) == "second"

    run(scenario())


def test_files_that_cannot_be_used_leave_the_old_certificate_in_force(run, serving, authority):
    async def scenario():
        cert_file, key_file = authority.issue("first")
        async with serving(**settings_of(cert_file, key_file)) as gateway:
            ends_at = gateway.tls.ends_at
            shutil.move(authority.issue("other")[0], cert_file)  # and the key stays the first one's
            with capture_logs() as logs:
                assert not await gateway.tls.renew()
            assert [entry["event"] for entry in logs] == ["certificate.unusable"]
            assert gateway.tls.concerns() == [
                f"http.tls.key_file: its key does not belong to the certificate in {cert_file}; the former certificate is shown"
            ]
            assert gateway.tls.ends_at == ends_at
            assert shown_to(await gateway.open(trust=trusting(authority))) == "first"
            cert_file.unlink()
            assert not await gateway.tls.renew()
            assert "No such file" in gateway.tls.concerns()[0]
            for source, target in zip(authority.issue("third"), (cert_file, key_file), strict=True):
                shutil.move(source, target)
            assert await gateway.tls.renew()
            assert gateway.tls.concerns() == []
            assert shown_to(await gateway.open(trust=trusting(authority))) == "third"

    run(scenario())


@pytest.mark.parametrize(
    ("attributes", "is_refused"),
    [
        ({"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}, True),
        ({"maximum_version": ssl.TLSVersion.TLSv1_2}, False),
        ({}, False),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_only_new_versions_are_spoken(run, serving, authority, attributes, is_refused):
    async def scenario():
        async with serving(**settings_of(*authority.issue("one"))) as gateway:
            trust = trusting(authority)
            trust.set_ciphers("DEFAULT:@SECLEVEL=0")
            for name, value in attributes.items():
                setattr(trust, name, value)
            assert await refused(gateway, trust) is is_refused

    run(scenario())


@pytest.mark.parametrize(("suites", "is_refused"), [("AES128-SHA:AES256-GCM-SHA384", True), ("ECDHE+AESGCM", False)])
def test_suites_without_forward_secrecy_are_refused(run, serving, authority, suites, is_refused):
    async def scenario():
        pair = authority.issue("rsa", key=rsa.generate_private_key(65537, 2048))
        async with serving(**settings_of(*pair)) as gateway:
            trust = trusting(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
            trust.set_ciphers(suites)
            assert await refused(gateway, trust) is is_refused

    run(scenario())


def test_with_authorities_only_clients_with_a_certificate_get_in(run, serving, authority, tmp_path):
    async def scenario():
        more = settings_of(*authority.issue("one"), client_ca_file=str(authority.ca_file))
        async with serving(**more) as gateway:
            assert await refused(gateway, trusting(authority))
            known = trusting(authority)
            known.load_cert_chain(*authority.issue("client"))
            assert not await refused(gateway, known)

    run(scenario())


def test_a_slow_reader_over_tls_is_told_to_go(run, serving, authority):
    async def scenario():
        async with serving(**settings_of(*authority.issue("one")), **PUBLICATION, client={"queue_max_size": 65536}) as gateway:
            slow = await gateway.subscribed("1", receive_buffer=4096, trust=trusting(authority))
            slow.reader._transport.pause_reading()
            other = await gateway.subscribed("2", trust=trusting(authority))
            for _ in range(5000):
                await gateway.world.engine.pubsub.publish("a", Publication(b'"' + b"x" * 30000 + b'"'), PublishOptions())
                assert "push" in await other.message()
                if gateway.node.statistics().clients == 1:
                    break
            gateway.world.clock.move(1.2)
            await gateway.until(lambda: gateway.node.statistics().transports == 1)
            assert gateway.node.disconnects_by_code == {3008: 1}

    run(scenario())


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_unusable_files_stop_the_start_by_their_names(authority, tmp_path):
    cert_file, key_file = map(str, authority.issue("one"))
    _, other_key = map(str, authority.issue("two"))
    weak_cert, weak_key = map(str, authority.issue("weak", key=rsa.generate_private_key(65537, 1024)))
    nothing = write(tmp_path, "nothing", "")
    for given, problem in (
        ({"cert_file": "gone.pem"}, "http.tls.cert_file: gone.pem cannot be read: No such file or directory"),
        ({"cert_file": nothing}, f"http.tls.cert_file: there is no certificate in PEM form in {nothing}"),
        ({"cert_file": cert_file}, f"http.tls.cert_file: there is no private key in PEM form in {cert_file}"),
        ({"key_file": nothing}, f"http.tls.key_file: there is no private key in PEM form in {nothing}"),
        ({"key_file": other_key}, f"http.tls.key_file: its key does not belong to the certificate in {cert_file}"),
        ({"ciphers": "NONSENSE"}, "http.tls.ciphers: none of these suites is known"),
        ({"client_ca_file": nothing}, f"http.tls.client_ca_file: there is no certificate in PEM form in {nothing}"),
        (
            {"cert_file": weak_cert, "key_file": weak_key},
            "http.tls.cert_file: cannot be used by OpenSSL: too weak a key, or a broken chain",
        ),
    ):
        pair = {"cert_file": cert_file, "key_file": key_file} if "cert_file" not in given else {}
        with pytest.raises(SettingsError) as refused:
            ServerTls(TlsSettings(**{**pair, **given}), SystemClock())
        assert refused.value.problems == (problem,) or list(refused.value.problems) == [problem]


def test_a_certificate_that_has_ended_is_a_concern(authority):
    cert_file, key_file = map(str, authority.issue("old", days=-1))
    tls = ServerTls(TlsSettings(cert_file=cert_file, key_file=key_file), SystemClock())
    assert tls.concerns() == ["http.tls.cert_file: the certificate has expired"]


def test_asking_makes_it_look_at_once(run, authority):
    async def scenario():
        cert_file, key_file = authority.issue("one")
        tls = ServerTls(TlsSettings(cert_file=str(cert_file), key_file=str(key_file)), SystemClock())
        watching = asyncio.create_task(tls.watch())
        shutil.move(authority.issue("two", days=5)[0], cert_file)
        tls.look_now()
        async with asyncio.timeout(GUARD_S):
            while not tls.concerns():  # noqa: ASYNC110 (a fact of a thread)
                await asyncio.sleep(0)
        watching.cancel()

    run(scenario())


def shake_hands(tls, client, session=None):
    """Connect by TLS 1.2 in memory, and part in peace; gives the client's session, and whether the server resumed one."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = tls.context.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname="localhost", session=session)
    for step in ("do_handshake", "do_handshake", "unwrap"):
        for side in (client_side, server_side, client_side):
            with suppress(ssl.SSLWantReadError):
                getattr(side, step)()
    return client_side.session, server_side.session_reused


def test_no_session_outlives_the_authority_that_let_it_in(run, authority, tmp_path):
    client_ca = Path(shutil.copy(authority.ca_file, tmp_path / "clients.pem"))
    cert_file, key_file = authority.issue("one")
    settings = TlsSettings(cert_file=str(cert_file), key_file=str(key_file), client_ca_file=str(client_ca))
    tls = ServerTls(settings, SystemClock())
    client = trusting(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
    client.load_cert_chain(*authority.issue("client"))
    session, _ = shake_hands(tls, client)
    assert shake_hands(tls, client, session)[1]
    (tmp_path / "other").mkdir()
    shutil.copy(type(authority)(tmp_path / "other").ca_file, client_ca)
    run(tls.renew())
    with pytest.raises(ssl.SSLError):
        shake_hands(tls, client)
    with pytest.raises(ssl.SSLError):
        shake_hands(tls, client, session)


def test_both_in_one_file_will_do(authority, tmp_path):
    cert_file, key_file = authority.issue("one")
    both = write(tmp_path, "both.pem", cert_file.read_text() + key_file.read_text())
    assert ServerTls(TlsSettings(cert_file=both), ManualClock()).concerns() == []
