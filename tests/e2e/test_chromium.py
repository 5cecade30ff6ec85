"""The official JavaScript client in a real browser, on a page of another origin, over each transport that it has."""

import uuid
from urllib.parse import urlencode

import pytest
import pytest_asyncio

TRANSPORTS = ("websocket", "protobuf_websocket", "http_stream", "protobuf_http_stream", "sse")
SECRET = "secret of the tests of the official clients"

pytestmark = [pytest.mark.sdk, pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def opened(chromium, everywhere, network):
    """Open the client's page from an origin; what the page did that is no scenario's doing fails the test."""
    faults = []

    async def open_page(origin):
        page = await chromium.new_page()
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        await page.expose_function("callApi", lambda method, body: everywhere.call(method, **body))
        await page.expose_function("cut", network.cut)
        await page.expose_function("mend", network.mend)
        await page.goto(f"{origin}/page.html?{urlencode({'url': network.url, 'secret': SECRET})}")
        return page

    yield open_page
    assert faults == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_all_scenarios(opened, pages, transport):
    page = await opened(pages[0])
    names = await page.evaluate("window.names")
    assert len(names) >= 13
    faults = {}
    for name in names:
        channel = f"chromium-{uuid.uuid4().hex[:8]}"
        fault = await page.evaluate("(given) => runScenario(...given)", [transport, name, channel])
        if fault:
            faults[name] = fault
    assert faults == {}


# What a page learns of a server that its origin may not use; `true` for what works.
REACHES = """async ([url, token]) => {
    const reached = {};
    const socket = new WebSocket(url.replace("http", "ws") + "/connection/websocket");
    reached.websocket = await new Promise((resolve) => {
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
    });
    const connect = JSON.stringify({ id: 1, connect: { token } });
    const events = new EventSource(`${url}/connection/sse?cf_connect=${encodeURIComponent(connect)}`);
    reached.sse = await new Promise((resolve) => {
        events.onmessage = () => resolve(true);
        events.onerror = () => resolve(false);
    });
    events.close();
    for (const path of ["/connection/http_stream", "/emulation"]) {
        const asked = fetch(url + path, { method: "POST", body: connect, headers: { "Content-Type": "application/json" } });
        reached[path] = await asked.then(() => true, () => false);
    }
    return reached;
}"""


@pytest.mark.parametrize(("origin", "is_allowed"), [(0, True), (1, False)])
async def test_which_origins_get_in(opened, everywhere, pages, origin, is_allowed):
    """A page from another port is another origin; where it is not allowed, the browser gets nothing over any transport."""
    page = await opened(pages[origin])
    reached = await page.evaluate(REACHES, [everywhere.url, await page.evaluate("window.token({ sub: '42' })")])
    assert reached == dict.fromkeys(("websocket", "sse", "/connection/http_stream", "/emulation"), is_allowed)


# The client tries its transports in turn; what it says of six attempts.
TRIES = """async (url) => {
    const endpoints = [
        { transport: "websocket", endpoint: url.replace("http", "ws") + "/connection/websocket" },
        { transport: "http_stream", endpoint: url + "/connection/http_stream" },
        { transport: "sse", endpoint: url + "/connection/sse" },
    ];
    const options = { emulationEndpoint: url + "/emulation", minReconnectDelay: 1, maxReconnectDelay: 9 };
    const client = new clients.json(endpoints, options);
    const seen = [];
    await new Promise((resolve) => {
        client.on("error", (context) => seen.push(`${context.type} ${context.error.code}`) === 6 && resolve());
        client.on("connected", () => resolve(seen.push("connected")));
        client.connect();
    });
    client.disconnect();
    return seen;
}"""


async def test_the_client_on_a_page_that_is_not_allowed(opened, everywhere, pages):
    """It falls back from one transport to the next, and none lets it in."""
    page = await opened(pages[1])
    assert set(await page.evaluate(TRIES, everywhere.url)) == {"transport 2"}
