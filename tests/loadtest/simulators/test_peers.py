"""Independent clients get through, and understand the refusals: aioapns, firebase_admin, pywebpush, libcurl."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import firebase_admin
import pycurl
import pytest
import pywebpush
import requests
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsTLSClientProtocol
from firebase_admin import credentials as firebase_credentials
from firebase_admin import exceptions, messaging

from config.clock import SystemClock
from loadtest.simulators.subscriptions import Subscription
from loadtest.simulators.suite import Simulators

pytestmark = pytest.mark.filterwarnings("ignore:Message.token is deprecated:DeprecationWarning")

# -- APNs


@pytest.fixture
async def apns(sims: Simulators) -> AsyncIterator[APNs]:
    settings = sims.providers["apns"]

    class SimulatorProtocol(APNsTLSClientProtocol):
        APNS_SERVER = "127.0.0.1"
        APNS_PORT = int(settings["url"].rpartition(":")[2])

    context = ssl.create_default_context(cafile=settings["ca_file"])
    context.set_alpn_protocols(["h2"])
    client = APNs(
        key=settings["private_key"],
        key_id=settings["key_id"],
        team_id=settings["team_id"],
        topic=settings["topic"],
        ssl_context=context,
    )
    client.pool.protocol_class = SimulatorProtocol
    yield client
    client.pool.close()


def make_push(token: str) -> NotificationRequest:
    message = {"aps": {"alert": {"title": "T", "body": "B"}}, "hg_id": "n1"}
    return NotificationRequest(device_token=token, message=message, push_type=PushType.ALERT)


async def test_aioapns(sims: Simulators, apns: APNs) -> None:
    results = [await apns.send_notification(make_push(digit * 64)) for digit in "0123"]
    assert [result.status for result in results] == ["200"] * 4
    assert [item.address for item in sims.outbox.items()] == [digit * 64 for digit in "0123"]


@pytest.mark.parametrize(
    ("prefix", "status", "reason"),
    [("dead", "410", "Unregistered"), ("b005", "503", "ServiceUnavailable"), ("bad0", "400", "PayloadEmpty")],
)
async def test_aioapns_reads_refusals(apns: APNs, prefix: str, status: str, reason: str) -> None:
    result = await apns.send_notification(make_push(prefix + "0" * 60))
    assert (result.status, result.description) == (status, reason)


# -- FCM


@pytest.fixture
def firebase(sims: Simulators, monkeypatch: pytest.MonkeyPatch) -> Iterator[firebase_admin.App]:
    settings = sims.providers["fcm"]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", settings["ca_file"])
    monkeypatch.setenv("SSL_CERT_FILE", settings["ca_file"])
    url = settings["url"] + "/v1/projects/{0}/messages:send"
    monkeypatch.setattr(messaging._MessagingService, "FCM_URL", url)
    certificate = firebase_credentials.Certificate(json.loads(settings["service_account"]))
    application = firebase_admin.initialize_app(certificate, {"httpTimeout": 10})
    yield application
    firebase_admin.delete_app(application)


def make_message(token: str, **changes: Any) -> messaging.Message:
    return messaging.Message(
        token=token,
        notification=messaging.Notification(title="T", body="B", image="https://x.test/i.png"),
        data={"hg_id": "n1", "link": "https://x.test/"},
        android=messaging.AndroidConfig(
            priority="high",
            ttl=3600,
            collapse_key="c",
            notification=messaging.AndroidNotification(
                tag="c",
                channel_id="default",
                color="#ff0000",
                visibility="private",
                priority="high",
                notification_count=3,
                vibrate_timings_millis=[100, 200],
                light_settings=messaging.LightSettings("#00ff00", 200, 300),
            ),
        ),
        apns=messaging.APNSConfig(
            headers={"apns-priority": "10"}, payload=messaging.APNSPayload(messaging.Aps(badge=1, mutable_content=True))
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": "60"},
            notification=messaging.WebpushNotification(title="T", actions=[messaging.WebpushNotificationAction("a", "A")]),
            fcm_options=messaging.WebpushFCMOptions(link="https://x.test/"),
        ),
        fcm_options=messaging.FCMOptions(analytics_label="n1"),
        **changes,
    )


async def test_firebase_admin(sims: Simulators, firebase: firebase_admin.App) -> None:
    name = await asyncio.to_thread(messaging.send, make_message("alice"))
    assert name.startswith("projects/simulator/messages/")
    assert (sims.outbox.items()[0].title, sims.outbox.items()[0].notification_id) == ("T", "n1")
    dry = await asyncio.to_thread(messaging.send, make_message("alice"), True)
    assert dry == "projects/simulator/messages/fake_message_id"
    assert len(sims.outbox) == 1


@pytest.mark.parametrize(
    ("token", "error"),
    [
        ("unregistered", messaging.UnregisteredError),
        ("refused", exceptions.InvalidArgumentError),
        ("with blank", exceptions.InvalidArgumentError),
    ],
)
async def test_firebase_admin_reads_refusals(firebase: firebase_admin.App, token: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await asyncio.to_thread(messaging.send, make_message(token))


async def test_firebase_admin_over_http2(sims: Simulators, firebase: firebase_admin.App) -> None:
    async def send() -> messaging.BatchResponse:
        messages = [make_message("alice"), make_message("unregistered"), make_message("bob")]
        batch = await messaging.send_each_async(messages)
        # Its connections belong to this loop, where they must be closed.
        await messaging._get_messaging_service(firebase)._async_client.aclose()
        return batch

    # In a loop of its own, which it blocks while it fetches a token.
    batch = await asyncio.to_thread(lambda: asyncio.run(send()))
    assert [response.success for response in batch.responses] == [True, False, True]
    assert isinstance(batch.responses[1].exception, messaging.UnregisteredError)
    assert sorted(item.address for item in sims.outbox.items()) == ["alice", "bob"]


# -- Web Push


def send_webpush(sims: Simulators, subscription: Subscription, **changes: Any) -> requests.Response:
    """Send through pywebpush, whose requests are led to the simulator by a transport adapter of the test."""
    settings = sims.providers["webpush"]
    sender = pywebpush.WebPusher(
        {"endpoint": subscription.endpoint, "keys": {"p256dh": subscription.keys.p256dh, "auth": subscription.keys.auth}},
        requests_session=simulator_session(settings),
    )
    vapid = pywebpush.Vapid.from_pem(settings["vapid_private_key"].encode())
    headers = vapid.sign({"sub": settings["subject"], "aud": "https://push.simulator.test", **changes})
    content = json.dumps({"title": "T", "options": {"body": "B", "data": {"hg_id": "n1"}}})
    response = sender.send(content, {**headers, "Urgency": "high"}, ttl=60, content_encoding="aes128gcm", timeout=10)
    assert isinstance(response, requests.Response)
    return response


class _SimulatorAdapter(requests.adapters.HTTPAdapter):
    def __init__(self, connect_to: str) -> None:
        self._connect_to = connect_to
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, server_hostname="push.simulator.test", assert_hostname="push.simulator.test", **kwargs)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        assert request.url is not None
        request.headers["Host"] = "push.simulator.test"
        request.url = request.url.replace("push.simulator.test", self._connect_to)
        return super().send(request, **kwargs)


def simulator_session(settings: dict[str, Any]) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # or a bundle named in the environment would win
    session.verify = settings["ca_file"]
    session.mount("https://", _SimulatorAdapter(settings["connect_to"]))
    return session


async def test_pywebpush(sims: Simulators) -> None:
    subscription = sims.mint_subscription("phone")
    response = await asyncio.to_thread(send_webpush, sims, subscription)
    assert response.status_code == 201
    (item,) = sims.outbox.items()
    assert (item.address, item.title, item.body, item.notification_id) == (subscription.endpoint, "T", "B", "n1")


@pytest.mark.parametrize(("name", "status"), [("unregistered", 410), ("busy", 503), ("refused", 400)])
async def test_pywebpush_meets_fates(sims: Simulators, name: str, status: int) -> None:
    response = await asyncio.to_thread(send_webpush, sims, sims.mint_subscription(name))
    assert (response.status_code, response.json()["code"]) == (status, status)


async def test_pywebpush_with_anothers_audience(sims: Simulators) -> None:
    response = await asyncio.to_thread(send_webpush, sims, sims.mint_subscription(), aud="https://else.test")
    assert response.status_code == 403


# -- libcurl


async def test_libcurl_reaches_any_host(
    sims: Simulators, curl: Callable[..., Awaitable[Any]], make_vapid: Callable[..., str]
) -> None:
    """The certificate is made for the host that the endpoint names; nothing resolves that name."""

    vapid = make_vapid(now=SystemClock().now().timestamp(), audience="https://updates.push.example.test")
    response = await curl(
        sims.providers["webpush"],
        "https://updates.push.example.test/wpush/v2/abc",
        {"ttl": "60", "authorization": vapid},
    )
    assert response.status == 201
    assert sims.outbox.items()[0].address == "https://updates.push.example.test/wpush/v2/abc"


async def test_libcurl_bursts_on_a_fresh_connection(sims: Simulators, apns_headers: dict[str, str]) -> None:
    """Forty at once while one stream is allowed: all get through, on that one connection."""

    def burst(settings: dict[str, Any]) -> tuple[list[int], int]:
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
        handles = []
        for number in range(40):
            handle = pycurl.Curl()
            handle.setopt(pycurl.URL, f"{settings['url']}/3/device/{number:064x}")
            handle.setopt(pycurl.CAINFO, settings["ca_file"])
            handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2_0)
            handle.setopt(pycurl.PIPEWAIT, 1)
            handle.setopt(pycurl.TIMEOUT, 20)
            handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in apns_headers.items()])
            handle.setopt(pycurl.POSTFIELDS, b'{"aps":{"alert":"B"}}')
            handles.append(handle)
            multi.add_handle(handle)
        running = 1
        while running:
            _, running = multi.perform()
            multi.select(1.0)
        statuses = [handle.getinfo(pycurl.RESPONSE_CODE) for handle in handles]
        return statuses, sum(handle.getinfo(pycurl.NUM_CONNECTS) for handle in handles)

    statuses, connections = await asyncio.to_thread(burst, sims.providers["apns"])
    assert statuses == [200] * 40
    assert connections == 1
    assert len(sims.outbox) == 40
