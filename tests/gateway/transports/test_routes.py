"""Which paths are there: only what is switched on, and what it needs."""

import pytest

from config.settings import Settings
from gateway.transports.routes import transport_routes

TRANSPORTS = ("sse", "http_stream", "uni_sse", "uni_http_stream")


def paths(world, *names):
    made = world(**{name: {"enabled": True} for name in names})
    return {route.path for route in transport_routes(made.settings, made.node)}


def test_by_default_there_is_none(world):
    made = world()
    assert transport_routes(Settings(), made.node) == []


@pytest.mark.parametrize("name", TRANSPORTS)
def test_each_is_switched_on_by_itself(world, name):
    emulation = set() if name.startswith("uni_") else {"/emulation"}
    assert paths(world, name) == {f"/connection/{name}"} | emulation


def test_all_together_have_one_way_up(world):
    assert paths(world, *TRANSPORTS) == {"/emulation", *(f"/connection/{name}" for name in TRANSPORTS)}


@pytest.mark.parametrize("path", ["/connection/sse", "/connection/sse/", "/emulation"])
def test_what_is_off_is_404(run, serving, path):
    async def main():
        async with serving() as gateway:
            assert (await gateway.ask("POST", path)).status == 404

    run(main())
