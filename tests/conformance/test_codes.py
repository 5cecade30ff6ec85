"""Every code of PROTOCOL.md §6 with the test that provokes it through a real connection, or why it cannot occur."""

import ast
from pathlib import Path

import pytest

from gateway.protocol import disconnects, errors
from gateway.protocol.disconnects import Disconnect, Unsubscribe
from gateway.protocol.errors import Error

ROOT = Path(__file__).parents[2]
HERE = "tests/conformance"
TRANSPORTS = "tests/gateway/transports"

ERRORS = {
    100: f"{TRANSPORTS}/test_stream.py::test_a_fault_of_ours_is_error_100_without_details",
    102: f"{HERE}/test_subscribing.py::test_p26_unknown_namespaces",
    103: f"{HERE}/test_subscribing.py::test_p33_without_permission",
    104: f"{HERE}/test_publishing.py::test_an_rpc_about_what_is_not_there_is_104",
    105: f"{HERE}/test_subscribing.py::test_p31_duplicates_and_the_limit",
    106: f"{HERE}/test_subscribing.py::test_p31_duplicates_and_the_limit",
    107: f"{HERE}/test_publishing.py::test_p34_empty_data",
    108: f"{HERE}/test_publishing.py::test_p41_no_history",
    109: f"{HERE}/test_connecting.py::test_p18_an_expired_token_is_109",
    110: f"{HERE}/test_connecting.py::test_an_expiry_that_is_over_already_is_110",
    111: f"{HERE}/test_proxies.py::test_p73_too_many_requests",
    112: f"{HERE}/test_recovery.py::test_p47_rather_an_error",
}
UNSUBSCRIBES = {
    2000: f"{HERE}/test_server_api.py::test_p69_subscribed_and_unsubscribed_by_the_api",
    2500: f"{HERE}/test_recovery.py::test_p51_a_gap",
    2501: f"{HERE}/test_subscribing.py::test_subscriptions_that_are_not_refreshed_end",
    2502: f"{HERE}/test_trust.py::test_a_revoked_subscription_token_is_2502",
}
DISCONNECTS = {
    3001: f"{HERE}/test_connecting.py::test_a_server_that_stops_says_3001",
    3004: f"{HERE}/test_http_transports.py::test_p72_errors_become_disconnects",
    3005: f"{HERE}/test_connecting.py::test_p24_without_a_refresh_it_ends",
    3006: f"{HERE}/test_subscribing.py::test_subscriptions_that_are_not_refreshed_end",
    3008: f"{TRANSPORTS}/test_websocket.py::test_a_client_that_does_not_read_is_slow_and_the_others_go_on",
    3009: f"{TRANSPORTS}/test_stream.py::test_a_peer_that_stops_reading_ends_with_a_write_error",
    3010: f"{HERE}/test_recovery.py::test_p51_a_gap",
    3011: f"{HERE}/test_server_api.py::test_p70_the_whitelist",
    3012: f"{HERE}/test_framing.py::test_p11_without_a_pong_it_ends",
    3013: f"{HERE}/test_proxies.py::test_p73_too_many_requests",
    3014: f"{HERE}/test_trust.py::test_a_revoked_connection_token_is_3014",
    3500: f"{HERE}/test_connecting.py::test_p17_a_bad_token_is_3500",
    3501: f"{HERE}/test_framing.py::test_p05_an_empty_frame_is_3501",
    3502: f"{HERE}/test_framing.py::test_p07_silence_is_stale",
    3503: f"{HERE}/test_server_api.py::test_p70_disconnected_by_the_api",
    3504: f"{HERE}/test_connecting.py::test_p25_the_connection_limit_of_a_user",
    3505: f"{HERE}/test_connecting.py::test_more_channels_in_the_token_than_allowed_is_3505",
    3506: f"{HERE}/test_publishing.py::test_bytes_to_a_json_client_are_3506",
    3507: f"{HERE}/test_connecting.py::test_an_anonymous_token_that_is_not_wanted_is_3507",
    3508: f"{HERE}/test_connecting.py::test_send_is_3508",
}
CANNOT_OCCUR = {
    0: "a client's own unsubscribe: internal to SDKs, never sent",
    1: "a client's own disconnect: internal to SDKs, never sent",
    101: "nothing raises it: who is not known is closed with 3501 or 3500, who lacks a right gets 103",
    113: "belongs to a paging that the protocol has no commands for here",
    3000: "the peer went away: nobody is left to be told",
    3509: "errors are not counted: each is answered, and what no SDK sends is 3501 at once",
}
SENT = ERRORS | UNSUBSCRIBES | DISCONNECTS


def codes_of(module, kind):
    return {value.code for value in vars(module).values() if isinstance(value, kind)}


def test_every_code_that_we_have_is_in_the_tables():
    ours = codes_of(errors, Error) | codes_of(disconnects, Disconnect) | codes_of(disconnects, Unsubscribe)
    assert ours <= SENT.keys() | CANNOT_OCCUR.keys()
    assert ours >= SENT.keys()
    assert not SENT.keys() & CANNOT_OCCUR.keys()


def test_every_code_of_the_protocol_is_in_the_tables():
    protocol = {0, 1, *range(100, 114), 2000, 2500, 2501, 2502, 3000, 3001, *range(3004, 3007), *range(3008, 3015)}
    assert SENT.keys() | CANNOT_OCCUR.keys() == protocol | set(range(3500, 3510))


@pytest.mark.parametrize("code", SENT)
def test_the_named_test_is_there(code):
    """It exists, and not only the name: it, or the file's tables it draws from, speaks of the code or its statement."""
    path, name = SENT[code].split("::")
    functions = ast.walk(ast.parse((ROOT / path).read_text()))
    assert name in {node.name for node in functions if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert str(code) in (ROOT / path).read_text()


def test_what_a_code_says_to_do_agrees_with_its_range():
    """Temporary errors are those that SDKs retry; below 3500 they come back, from 2500 they subscribe again."""
    temporary = {error.code for error in vars(errors).values() if isinstance(error, Error) and error.temporary}
    assert temporary == {100, 111}
    for value in vars(disconnects).values():
        if isinstance(value, Disconnect):
            assert value.reconnects == (value.code < 3500)
            assert value.reason
        if isinstance(value, Unsubscribe):
            assert value.resubscribes == (value.code >= 2500)
            assert value.reason
