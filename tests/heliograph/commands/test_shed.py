"""`heliograph shed`: the command against a started server, and every way that it fails."""

import http.server
import threading

import pytest


@pytest.fixture
def web():
    """A web server that is no heliograph."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200 if self.headers["X-API-Key"] == "k" else 500)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_tells_what_each_node_sends_away(run, launch):
    server = launch("serve", "--port", "0", HELIOGRAPH_NODE__NAME="gateway-1").greeted()
    ended = run("shed", "--share", "0.5", "--url", server.url, "--config", "h.toml")
    assert (ended.code, ended.out, ended.err) == (0, "gateway-1 sends away 0 clients\n", "")

    ended = run("shed", "--share", "0.5", "--node", "other", "--url", server.url, "--api-key", "k")
    assert (ended.code, ended.problems) == (2, ["heliograph: the server refused: node not found"])

    ended = run("shed", "--share", "1", "--url", server.url, "--api-key", "wrong")
    assert (ended.code, ended.problems) == (2, [f"heliograph: --url: {server.url} does not accept the API key"])
    assert server.end() == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--share", "0"], "heliograph shed: Invalid value for '--share'"),
        (["--share", "1.1"], "heliograph shed: Invalid value for '--share'"),
        ([], "heliograph shed: Missing option '--share'."),
        (["--share", "1", "--spread", "soon"], "heliograph shed: Invalid value for '--spread'"),
        (["--share", "1", "--url", "ftp://h", "--api-key", "k"], "heliograph shed: Invalid value for --url"),
        (["--share", "1"], "heliograph: http_api.keys: no key is set"),
        (["--share", "1", "--url", "http://127.0.0.1:1", "--api-key", "k"], "heliograph: --url: http://127.0.0.1:1 cannot be"),
    ],
)
def test_errors_are_one_line(run, arguments, line):
    ended = run("shed", *arguments)
    assert (ended.code, ended.out, len(ended.problems)) == (2, "", 1)
    assert ended.err.startswith(line)


@pytest.mark.parametrize(("key", "says"), [("k", "is no heliograph"), ("x", "answered with HTTP status 500")])
def test_another_server_is_told_from_ours(run, web, key, says):
    ended = run("shed", "--share", "1", "--url", web, "--api-key", key)
    assert (ended.code, ended.problems) == (2, [f"heliograph: --url: {web} {says}"])
