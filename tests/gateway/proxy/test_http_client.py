"""The transport by itself: certificates, the bound of an answer, and its end."""

import asyncio

import pytest

from config.clock import ManualClock, SystemClock
from config.errors import SettingsError
from config.settings import ProxySettings, Settings
from gateway.proxy.errors import BackendFailed
from gateway.proxy.http_client import ANSWER_LIMIT, HttpClient
from gateway.proxy.proxies import Proxies
from loadtest.simulators.certificates import CertificateAuthority
from loadtest.simulators.credentials import open_credentials

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture
async def listen():
    """Serve raw bytes as the answer to whatever comes; with `hangs` the connection then stays open."""
    servers = []

    async def start(answer, *, tls=None, hangs=False):
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if hangs:
                await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        return server.sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()


async def post(port, scheme="http", **settings):
    client = HttpClient(ProxySettings(enabled=True, endpoint=f"{scheme}://127.0.0.1:{port}/e", **settings))
    try:
        return await client.post(b"{}", {})
    finally:
        await client.close()


async def test_an_answer_in_pieces_is_read_whole(listen):
    port = await listen(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
    assert (await post(port)).body == b"{}"


async def test_an_answer_of_the_greatest_length(listen):
    port = await listen(HEAD + b"Content-Length: %d\r\n\r\n" % ANSWER_LIMIT + b" " * ANSWER_LIMIT)
    assert len((await post(port)).body) == ANSWER_LIMIT


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: %d\r\n\r\n" % (ANSWER_LIMIT + 1) + b" " * (ANSWER_LIMIT + 1),
        HEAD + b"Content-Length: 10\r\n\r\n{}",
        b"SMTP ready\r\n",
        b"",
    ],
)
async def test_an_answer_that_is_none(listen, answer):
    with pytest.raises(BackendFailed):
        await post(await listen(answer))


async def test_a_body_that_never_ends_ends_with_the_timeout(listen):
    port = await listen(HEAD + b"Content-Length: 10\r\n\r\n{}", hangs=True)
    with pytest.raises(BackendFailed, match="in time"):
        await post(port, timeout="50ms")


async def test_a_compressed_answer_stays_compressed(listen):
    port = await listen(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b")
    assert (await post(port)).body == b"\x1f\x8b"


async def test_certificates_are_verified(listen, tmp_path):
    clock = SystemClock()
    authority = CertificateAuthority(open_credentials(tmp_path, now=clock.now()), now=clock.now())
    authority.write(tmp_path / "ca.pem")
    port = await listen(HEAD + b"Content-Length: 2\r\n\r\n{}", tls=authority.context(("http/1.1",)))
    with pytest.raises(BackendFailed):
        await post(port, "https")
    assert (await post(port, "https", ca_file=str(tmp_path / "ca.pem"))).body == b"{}"


async def test_closing_twice_and_before_the_first_request():
    client = HttpClient(ProxySettings(enabled=True, endpoint="http://127.0.0.1:1/"))
    await client.close()
    await client.close()


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_certificates_that_cannot_be_read_forbid_the_start(tmp_path, text):
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    proxy = {"enabled": True, "endpoint": "https://backend/", "ca_file": str(file)}
    settings = Settings.model_validate({"rpc": {"proxy": proxy}})
    with pytest.raises(SettingsError, match=r"rpc\.proxy\.ca_file: cannot be read"):
        Proxies(settings, ManualClock())
