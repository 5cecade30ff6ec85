"""Ports that are taken, shared, bound again and handed down."""

import os
import socket

import pytest

from config.errors import SettingsError
from heliograph.listening import adopt, bind, bind_again, bind_shared, port_of

HOST = "127.0.0.1"


def asks(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection((HOST, port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_bound_port_does_not_answer_until_it_is_listened_on():
    with bind("http.port", HOST, 0) as listener:
        assert not asks(port_of(listener))
        listener.listen()
        assert asks(port_of(listener))


@pytest.mark.parametrize("take", [bind, lambda *where: bind_shared(*where, 2)])
@pytest.mark.parametrize("is_shared", [False, True])
def test_a_port_that_somebody_listens_on_is_taken(take, is_shared):
    [other] = bind_shared("x", HOST, 0, 1) if is_shared else [bind("x", HOST, 0)]
    port = port_of(other)
    with other:
        other.listen()
        with pytest.raises(SettingsError) as refused:
            take("http.port", HOST, port)
    [line] = refused.value.problems
    assert line.startswith(f"http.port: cannot listen on {HOST}:{port}: ")


def test_a_shared_port_is_bound_by_each():
    listeners = bind_shared("http.port", HOST, 0, 3)
    assert len({port_of(listener) for listener in listeners}) == 1
    for listener in listeners:
        listener.close()


def test_bound_again_others_get_what_comes():
    dead, living = bind_shared("http.port", HOST, 0, 2)
    port = port_of(dead)
    dead.listen()
    living.listen()
    fresh = bind_again(dead)
    assert (dead.fileno(), port_of(fresh)) == (-1, port)
    connections = [socket.create_connection((HOST, port), 5) for _ in range(20)]
    accepted = [living.accept()[0] for _ in connections]
    for open_socket in (*connections, *accepted, fresh, living):
        open_socket.close()


def test_a_socket_is_handed_down_by_its_descriptor():
    listener = bind("http.port", HOST, 0)
    port = port_of(listener)
    with adopt(os.dup(listener.fileno())) as adopted:
        listener.close()
        assert (port_of(adopted), adopted.getblocking()) == (port, False)
