import pytest
from websockets.datastructures import Headers

from config.settings import Settings
from gateway.admin.passwords import Cost, hash_password
from gateway.admin.place import Place, Surroundings
from gateway.transports.handshake import PATH, Refusal, judge


@pytest.mark.parametrize(
    ("scheme", "host", "origin"),
    [
        ("http", "127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http", "localhost", "http://localhost"),
        ("http", "[::1]:8000", "http://[::1]:8000"),
        ("https", "Ops.Example.com", "https://ops.example.com"),
        ("https", "ops.example.com:8443", "https://ops.example.com:8443"),
        ("http", "ops.example.com", None),  # a password in clear text
        ("http", "evil.example:8000", None),  # a name that was pointed at this machine
        ("http", "192.0.2.1:8000", None),
        ("https", "", None),
        ("https", "ops.example.com; script-src *", None),
        ("https", "ops.example.com/", None),
    ],
)
def test_where_a_password_may_be_typed(scheme, host, origin):
    place = Surroundings("").place_of(scheme, host)
    assert (None if place is None else place.origin) == origin


@pytest.mark.parametrize("host", ["10.0.0.1:8000", "ops.example.com", "evil.example", ""])
def test_a_proxy_that_ends_tls_is_believed_because_the_settings_say_so(host):
    place = Surroundings("https://ops.example.com").place_of("http", host)
    assert place is not None
    assert place.origin == "https://ops.example.com"
    assert (place.is_secure, place.cookie, place.socket_origin) == (True, "__Host-heliograph", "wss://ops.example.com")


@pytest.mark.parametrize(("origin", "cookie"), [("http://127.0.0.1:8000", "heliograph-8000"), ("http://[::1]", "heliograph-1")])
def test_two_servers_of_one_machine_do_not_log_each_other_out(origin, cookie):
    assert Place(origin).cookie == cookie


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"origin": "https://ops.example.com"}, True),  # a browser without Sec-Fetch-Site
        ({"origin": "https://ops.example.com", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "HTTPS://OPS.example.com"}, True),
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"origin": "null"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "http://ops.example.com"}, False),
        ({"origin": "https://ops.example.com.evil.example"}, False),
        ({"origin": "https://ops.example.com", "sec-fetch-site": "same-site"}, False),
        ({"origin": "https://ops.example.com", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "https://ops.example.com", "sec-fetch-site": "none"}, False),
    ],
)
def test_only_the_page_itself_may_act(headers, is_own):
    around = Surroundings("https://ops.example.com")
    assert around.is_own(Place("https://ops.example.com"), headers) is is_own


ANN = {"name": "ann", "password_hash": hash_password("a password of the tests", Cost(2, 1, 1))}


@pytest.mark.parametrize(
    ("origin", "host", "admin", "is_let_in"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", {}, True),
        ("https://app.example.com", "127.0.0.1:8000", {}, True),  # of an application, as ever
        ("http://127.0.0.1:8001", "127.0.0.1:8000", {}, False),
        ("http://evil.example:8000", "evil.example:8000", {}, False),
        ("https://ops.example.com", "10.0.0.7:8000", {"origin": "https://ops.example.com"}, True),
        ("https://evil.example", "ops.example.com", {"origin": "https://ops.example.com"}, False),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", {"enabled": False}, False),
    ],
)
def test_the_page_connects_from_where_it_is(origin, host, admin, is_let_in):
    chosen = {"enabled": True, "users": [ANN], "secret": "x" * 32} | admin
    settings = Settings.model_validate({"admin": chosen, "client": {"allowed_origins": ["https://app.example.com"]}})
    judged = judge(PATH, Headers(Origin=origin, Host=host), settings, lambda: None)
    assert isinstance(judged, Refusal) is not is_let_in
