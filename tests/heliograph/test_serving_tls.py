"""`http.tls` of real processes: what is said at the start, what SIGHUP does, workers, and the metric that warns in time."""

import json
import re
import shutil
import signal
import ssl
import urllib.request

import pytest
from websockets.sync.client import connect

GUARD_S = 60  # only ends a hang


def environment_of(cert_file, key_file, **more):
    return {"HELIOGRAPH_HTTP__TLS__CERT_FILE": str(cert_file), "HELIOGRAPH_HTTP__TLS__KEY_FILE": str(key_file), **more}


class Caller:
    """Somebody who trusts an authority, and calls a server."""

    def __init__(self, server, authority):
        self.trust = ssl.create_default_context(cafile=authority.ca_file)
        self.address = re.findall(r"https://(\S+)", server.line_with("https://"))[0]
        server.url = f"http://{self.address}"
        server.until(server.answers)

    def get(self, path):
        with urllib.request.urlopen(f"https://{self.address}{path}", timeout=GUARD_S, context=self.trust) as response:
            return response.read().decode()

    def connect(self):
        return connect(f"wss://{self.address}/connection/websocket", ssl=self.trust)

    def shown(self):
        """The name in the certificate that is shown now."""
        with self.connect() as peer:
            return name_of(peer)


def name_of(peer):
    subject = peer.socket.getpeercert()["subject"]
    return dict(pair for group in subject for pair in group)["commonName"]


def replace(authority, name, pair):
    for source, target in zip(authority.issue(name, days=5), pair, strict=True):
        shutil.move(source, target)


def test_a_hup_shows_the_new_certificate_and_keeps_connections(launch, authority):
    pair = authority.issue("first")
    cert_file, key_file = map(str, authority.issue("engine"))
    engine = {"HELIOGRAPH_BROKER__CERT_FILE": cert_file, "HELIOGRAPH_BROKER__KEY_FILE": key_file}
    server = launch("gateway", "--port", "0", **environment_of(*pair, **engine))
    caller = Caller(server, authority)
    with caller.connect() as old:
        old.send('{"id":1,"connect":{}}')
        old.recv(GUARD_S)
        ends_at = re.findall(
            r'heliograph_expiry_timestamp_seconds{kind="certificate",name="http.tls"} (\S+)', caller.get("/metrics")
        )
        assert 'heliograph_expiry_timestamp_seconds{kind="certificate",name="broker"}' in caller.get("/metrics")
        server.until(lambda: json.loads(caller.get("/health/detail?api_key=k"))["state"] == "ready")
        detail = json.loads(caller.get("/health/detail?api_key=k"))
        assert [one["name"] for one in detail["certificates"]] == ["http.tls", "broker"]
        replace(authority, "second", pair)
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: server.events("certificate.renewed"))
        assert caller.shown() == "second"
        later = re.findall(r'name="http.tls"} (\S+)', caller.get("/metrics"))
        assert float(later[0]) > float(ends_at[0])
        pair[1].write_text("nothing")
        server.process.send_signal(signal.SIGHUP)
        server.until(lambda: server.events("certificate.unusable"))
        assert json.loads(caller.get("/health/ready"))["concerns"] == [
            f"http.tls.key_file: there is no private key in PEM form in {pair[1]}; the former certificate is shown"
        ]
        assert caller.shown() == "second"
        old.send('{"id":2,"subscribe":{"channel":"news"}}')
        assert json.loads(old.recv(GUARD_S))["id"] == 2
        assert name_of(old) == "first"
    assert server.end() == 0


def test_a_certificate_with_another_key_stops_the_start(run, authority, monkeypatch, directory):
    (cert_file, _), (_, other_key) = authority.issue("one"), authority.issue("two")
    (directory / "h.toml").write_text(f"""
[client.token]
hmac_secret_key = "a secret that is longer than thirty-two bytes"
[http.tls]
cert_file = "{cert_file}"
key_file = "{other_key}"
""")
    for command in (("gateway", "--port", "0"), ("gateway", "--port", "0", "--workers", "2"), ("config", "check")):
        ended = run(*command, "--config", "h.toml")
        assert ended.code == 2
        assert f"http.tls.key_file: its key does not belong to the certificate in {cert_file}" in ended.err


@pytest.mark.redis
def test_workers_speak_tls_on_both_ports_and_show_the_new_certificate(launch, authority, free_port):
    pair = authority.issue("first")
    first = free_port()
    more = {"HELIOGRAPH_PROMETHEUS__WORKER_PORT": str(first)}
    server = launch("gateway", "--port", "0", "--workers", "1", **environment_of(*pair, **more))
    caller = Caller(server, authority)
    assert caller.shown() == "first"
    operator = f"https://127.0.0.1:{first}/health"
    with urllib.request.urlopen(operator, timeout=GUARD_S, context=caller.trust) as response:
        assert response.status == 200
        assert response.headers.get_all("Strict-Transport-Security") == ["max-age=2592000"]
    replace(authority, "second", pair)
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: server.events("workers.rolled"))
    assert caller.shown() == "second"
    assert server.end() == 0
