"""The table of answers, as values; and that no bytes of a backend get past it as anything but its own errors."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.proxy_settings import StatusTransform
from gateway.protocol.disconnects import DisconnectClient
from gateway.protocol.errors import ClientError
from gateway.proxy.errors import BackendFailed
from gateway.proxy.http_client import HttpAnswer
from gateway.proxy.messages import (
    ConnectGrant,
    DisconnectBody,
    ErrorBody,
    PublishGrant,
    Renewal,
    Response,
    RpcAnswer,
    SubscribeGrant,
    decoder_of,
)
from gateway.proxy.verdict import check_status, judge, read_response

RESULTS = (ConnectGrant, SubscribeGrant, PublishGrant, RpcAnswer, Renewal)
GONE = StatusTransform.model_validate({"status_code": 404, "to_error": {"code": 404, "message": "gone"}})
GONE_AGAIN = StatusTransform.model_validate({"status_code": 404, "to_disconnect": {"code": 4000, "reason": "gone"}})


@given(st.binary() | st.sampled_from([b'{"result":{"user":"\\ud800"}}', b'{"result":{"expire_at":1e999}}']))
@pytest.mark.parametrize("result", RESULTS)
def test_any_bytes_are_read_or_refused(result, body):
    try:
        response = read_response(body, decoder_of(result))
    except BackendFailed:
        return
    assert isinstance(response, Response)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("result", "error", "disconnect"), json_values)))
def test_any_object_is_judged_or_refused(value):
    try:
        response = read_response(msgspec.json.encode(value), decoder_of(RpcAnswer))
        result = judge(response)
    except BackendFailed:
        return
    except ClientError as exc:
        assert exc.error.code > 0
        assert exc.error.message
        return
    except DisconnectClient as exc:
        assert 3000 <= exc.disconnect.code <= 4999
        assert exc.disconnect.reason
        return
    assert result is response.result


@given(st.text())
def test_a_reason_always_fits_a_close_frame(reason):
    with pytest.raises(DisconnectClient) as caught:
        judge(Response(disconnect=DisconnectBody(4000, reason)))
    made = caught.value.disconnect.reason
    assert 0 < len(made.encode()) <= 123
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(made)


@pytest.mark.parametrize("null", ["user", "expire_at", "info", "b64info", "data", "b64data", "channels", "subs", "meta"])
def test_an_explicit_null_counts_as_absent(null):
    response = read_response(b'{"result":{"%b":null},"error":null,"disconnect":null}' % null.encode(), decoder_of(ConnectGrant))
    assert judge(response) is not None


def test_the_order_is_disconnect_error_result():
    result = RpcAnswer()
    assert judge(Response(result)) is result
    assert judge(Response()) is None
    with pytest.raises(ClientError):
        judge(Response(result, ErrorBody(1)))
    with pytest.raises(DisconnectClient):
        judge(Response(result, ErrorBody(1), DisconnectBody(3000)))


def test_the_first_meaning_of_a_status_counts():
    check_status(HttpAnswer(200, b""), (GONE,))
    with pytest.raises(ClientError):
        check_status(HttpAnswer(404, b""), (GONE, GONE_AGAIN))
    with pytest.raises(DisconnectClient):
        check_status(HttpAnswer(404, b""), (GONE_AGAIN, GONE))
    with pytest.raises(BackendFailed):
        check_status(HttpAnswer(403, b""), (GONE,))
