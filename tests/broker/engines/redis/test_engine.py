"""The whole engine: it starts with a clear word, or with none; what is missing is told before the first client comes."""

import asyncio
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker.engines.redis.engine import RedisEngine
from broker.errors import EngineUnavailable
from config.clock import SystemClock
from config.settings import BrokerSettings

pytestmark = pytest.mark.redis

RIGHTS = "~heliograph:* &heliograph:* +@all -@admin -@dangerous +info"


@pytest.fixture
async def start():
    """Start engines; each is closed after the test."""
    engines = []

    async def make(url, **settings):
        times = {"connect_timeout": 30, "call_timeout": 30}  # (a busy machine does not overrun them)
        engine = RedisEngine.of(BrokerSettings(url=url, **{**times, **settings}), SystemClock())
        engine.pubsub.on_message(lambda channel, message: None)
        engines.append(engine)
        await engine.start()
        return engine

    yield make
    for engine in engines:
        await engine.close()


@pytest.fixture
def refusal(start):
    """Try to start, and give the one line that says why it failed."""

    async def fail(url, **settings):
        with pytest.raises(EngineUnavailable) as raised:
            await start(url, **settings)
        line = str(raised.value)
        assert line.startswith("broker.url: ")
        assert "\n" not in line
        assert "hunter2" not in line
        return line

    return fail


@pytest.fixture
async def admin(start_valkey, open_link):
    """A server of the test's own, and a link that may do everything there."""
    server = start_valkey()
    return server, await open_link(url=server.connection_url)


async def test_nobody_listens_there(refusal, start_valkey):
    server = start_valkey()
    url = server.connection_url
    server.stop()
    line = await refusal(url)
    assert "cannot reach 127.0.0.1" in line
    assert "check the address and whether the server runs" in line


async def test_the_host_is_unknown(refusal):
    assert "cannot reach nobody.invalid:6379" in await refusal("redis://nobody.invalid", connect_timeout=5)


async def test_the_server_hangs(refusal, start_valkey, frozen):
    server = start_valkey()
    with frozen(server):
        assert "does not answer within 0.2 s" in await refusal(server.connection_url, connect_timeout=0.2)


@pytest.mark.parametrize(
    ("login", "reason"),
    [("", "NOAUTH"), (":hunter22@", "WRONGPASS"), ("ann:hunter2@", "WRONGPASS"), ("default:hunter22@", "WRONGPASS")],
)
async def test_the_login_is_wrong(refusal, start_valkey, login, reason):
    server = start_valkey()
    admin = RedisEngine.of(BrokerSettings(url=server.connection_url), SystemClock())
    await admin.link.start()
    await admin.link.command("CONFIG", "SET", "requirepass", "hunter2")
    await admin.link.close()
    line = await refusal(server.connection_url.replace("//", f"//{login}"))
    assert "refuses the login" in line
    assert reason in line
    assert "check user and password" in line


async def test_a_user_with_the_rights_that_a_refusal_names_may_start(start, admin):
    server, link = admin
    await link.command("ACL", "SETUSER", "ann", "on", ">hunter2", *RIGHTS.split())
    engine = await start(server.connection_url.replace("//", "//ann:hunter2@"))
    assert engine.link.state.is_connected


@pytest.mark.parametrize(
    "without",
    [
        "-info",
        "-evalsha",
        "-script",
        "-publish",
        "-subscribe",
        "resetkeys ~other:*",
        "resetchannels &other:*",
        "-@write",
    ],
)
async def test_a_right_is_missing(refusal, admin, without):
    server, link = admin
    await link.command("ACL", "SETUSER", "ann", "on", ">hunter2", *RIGHTS.split(), *without.split())
    line = await refusal(server.connection_url.replace("//", "//ann:hunter2@"))
    assert "the user 'ann' may not do what is needed" in line
    assert line.endswith(f"grant it {RIGHTS}")


async def test_a_command_was_renamed(refusal, start_valkey):
    server = start_valkey(rename_command="EVALSHA nobody-guesses")
    assert "refuses what is needed" in await refusal(server.connection_url)


async def test_there_is_no_such_database(refusal, start_valkey):
    server = start_valkey(databases="2")
    assert "refuses what is needed" in await refusal(f"{server.connection_url}/5")


async def test_the_server_is_a_replica(refusal, start_valkey):
    master, replica = start_valkey(), start_valkey()
    admin = RedisEngine.of(BrokerSettings(url=replica.connection_url), SystemClock())
    await admin.link.start()
    await admin.link.command("REPLICAOF", "127.0.0.1", master.port)
    await admin.link.close()
    assert "the server is a replica" in await refusal(replica.connection_url)


async def test_the_server_is_part_of_a_cluster(refusal, start_valkey):
    server = start_valkey(cluster_enabled="yes", cluster_port="0")
    line = await refusal(server.connection_url)
    assert "begin the address with redis+cluster://" in line


async def test_the_server_is_not_part_of_a_cluster(refusal, valkey):
    line = await refusal(valkey.connection_url.replace("redis:", "redis+cluster:"))
    assert "begin the address with redis://" in line


async def test_the_cluster_serves_nothing(refusal, start_valkey):
    server = start_valkey(cluster_enabled="yes", cluster_port="0")
    assert "has the cluster been created?" in await refusal(server.connection_url.replace("redis:", "redis+cluster:"))


async def test_the_server_speaks_no_tls(refusal, valkey):
    url = valkey.connection_url.replace("redis:", "rediss:")
    assert "hangs or speaks no TLS" in await refusal(url, connect_timeout=0.2)


async def test_an_engine_that_failed_to_start_can_be_closed_again(refusal, start_valkey):
    server = start_valkey()
    url = server.connection_url
    server.stop()
    engine = RedisEngine.of(BrokerSettings(url=url), SystemClock())
    with pytest.raises(EngineUnavailable):
        await engine.start()
    await engine.close()
    await engine.close()


async def test_over_a_socket(start, start_valkey, tmp_path):
    path = tmp_path / "v.sock"
    start_valkey(unixsocket=str(path))
    engine = await start(f"redis+unix://{path}")
    assert await engine.link.command("PING") == b"PONG"


def test_the_command_ends_with_one_line(tmp_path, start_valkey):
    server = start_valkey()
    url = server.connection_url.replace("//", "//ann:hunter2@")
    file = tmp_path / "h.toml"
    file.write_text(f"""
[broker]
url = "{url}"
[store]
url = "sqlite:///{tmp_path}/h.db"
[http]
port = 0
[client.token]
hmac_secret_key = "0123456789abcdef0123456789abcdef"
""")
    command = Path(sys.executable).with_name("heliograph")
    ended = subprocess.run([command, "serve", "--config", file], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ended.returncode == 2
    lines = [line for line in ended.stderr.splitlines() if line]
    assert len(lines) == 1
    assert "broker.url: 127.0.0.1" in lines[0]
    assert "refuses the login" in lines[0]
    assert "hunter2" not in ended.stdout + ended.stderr


def make_certificate(directory):
    """Write a certificate for 127.0.0.1 that is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "redis")])
    now = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (directory / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


@pytest.fixture
async def tls(tmp_path, valkey):
    """The shared server behind TLS: a relay that ends it. Gives its port."""
    make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.load_verify_locations(tmp_path / "cert.pem")
    relays = set()

    async def copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def relay(reader, writer):
        relays.add(asyncio.current_task())
        ahead, back = await asyncio.open_connection("127.0.0.1", valkey.port)
        await asyncio.gather(copy(reader, back), copy(ahead, writer))

    servers = []

    async def listen(verify=ssl.CERT_NONE):
        context.verify_mode = verify
        servers.append(await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context))
        return servers[-1].sockets[0].getsockname()[1]

    yield listen
    for server in servers:
        server.close()
    for task in relays:
        task.cancel()
    await asyncio.gather(*relays, return_exceptions=True)


async def test_over_tls(start, tls, tmp_path):
    engine = await start(f"rediss://127.0.0.1:{await tls()}", prefix="tls", ca_file=str(tmp_path / "cert.pem"))
    assert await engine.link.command("PING") == b"PONG"


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(refusal, tls):
    line = await refusal(f"rediss://127.0.0.1:{await tls()}", prefix="tls")
    assert "no TLS connection" in line
    assert "check rediss:// and broker.ca_file" in line


async def test_a_certificate_of_another_host_is_not_trusted(refusal, tls, tmp_path):
    line = await refusal(f"rediss://localhost:{await tls()}", prefix="tls", ca_file=str(tmp_path / "cert.pem"))
    assert "no TLS connection" in line


async def test_a_server_may_ask_for_a_certificate(start, refusal, tls, tmp_path):
    url = f"rediss://127.0.0.1:{await tls(ssl.CERT_REQUIRED)}"
    files = {
        f"{name}_file": str(tmp_path / file) for name, file in (("ca", "cert.pem"), ("cert", "cert.pem"), ("key", "key.pem"))
    }
    engine = await start(url, prefix="tls", **files)
    assert await engine.link.command("PING") == b"PONG"
    await refusal(url, prefix="tls", ca_file=files["ca_file"])


async def test_the_server_speaks_tls_only(refusal, tls):
    assert "if it speaks TLS, write rediss://" in await refusal(f"redis://127.0.0.1:{await tls()}")
