"""`rpc`: the application's methods, where it has any."""

import pytest

from gateway.api.errors import NOT_FOUND, ApiFailure


async def test_without_any_every_method_is_unknown(world, api):
    assert await api(world()).error("rpc", method="devices.list", params={}) == (104, "not found")


async def test_a_method_must_be_named(world, api):
    assert await api(world()).error("rpc") == (107, "bad request: method must not be empty")


async def test_the_application_answers(world, api):
    calls = []

    async def call(method, params):
        calls.append((method, params))
        if method == "unknown":
            raise ApiFailure(NOT_FOUND)
        return b'{"sum":3}' if params else b""

    opened = api(world(), rpc=call)
    assert await opened.result("rpc", method="add", params=[1, 2]) == {"data": {"sum": 3}}
    assert await opened.result("rpc", method="nothing") == {}
    assert await opened.error("rpc", method="unknown") == (104, "not found")
    assert calls == [("add", b"[1, 2]"), ("nothing", b""), ("unknown", b"")]


@pytest.mark.parametrize("answer", [b"no json", b'{"a":'])
async def test_an_answer_that_is_no_json_is_our_fault(world, api, answer):
    async def call(_method, _params):
        return answer

    assert await api(world(), rpc=call).error("rpc", method="x") == (100, "internal server error")
