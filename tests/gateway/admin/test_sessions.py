import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.engines.memory.engine import MemoryEngine
from config.admin_settings import AdminSettings
from config.clock import ManualClock
from gateway.admin.passwords import Cost, hash_password
from gateway.admin.sessions import Sessions

SECRET = "a secret of the page that is longer than thirty-two bytes"
HASH, OTHER_HASH = (hash_password(text, Cost(2, 1, 1), salt=b"0123456789abcdef") for text in ("one password", "another one"))
ANN = {"name": "ann", "password_hash": HASH, "role": "operator"}


class Told:
    """The part of the port Control that is used."""

    def __init__(self):
        self.commands = []

    async def send(self, command):
        self.commands.append(command)


class Fleet:
    """Nodes that share an engine and a clock."""

    def __init__(self):
        self.clock, self.told = ManualClock(), Told()
        self.engine = MemoryEngine(self.clock)

    def node(self, *users, secret=SECRET, ttl="1h"):
        chosen = {"enabled": True, "users": users or (ANN,), "secret": secret, "session_ttl": ttl}
        return Sessions(AdminSettings.model_validate(chosen), self.engine.revocation, self.told, self.clock)


@pytest.fixture
def fleet():
    return Fleet()


def test_counts_on_every_node_until_its_end(fleet):
    one, other = fleet.node(), fleet.node()
    value, session = one.open("ann")
    assert (session.name, session.role) == ("ann", "operator")
    assert other.read(value) == session
    assert len(value) < 200
    fleet.clock.move(3599)
    assert other.read(value) == session
    fleet.clock.move(2)
    assert other.read(value) is None and one.read(value) is None
    assert not one.goes_on(session)


async def test_ends_on_every_node_with_its_connections(fleet):
    one, other = fleet.node(), fleet.node()
    value, session = one.open("ann")
    kept, _ = one.open("ann")
    await other.end(session)
    assert one.read(value) is None and not one.goes_on(session)
    assert one.read(kept) is not None
    assert [command.token_id for command in fleet.told.commands] == [session.id]


@given(at=st.integers(0, 160), digit=st.sampled_from("Aa0_-"))
def test_one_changed_character_is_one_too_many(at, digit):
    sessions = Fleet().node()
    value, session = sessions.open("ann")
    at %= len(value)
    changed = value[:at] + digit + value[at + 1 :]
    read = sessions.read(changed)
    # The last character of base64 may hold bits that mean nothing.
    assert read is None or changed == value or (at == len(value) - 1 and read == session)


@given(st.one_of(st.text(max_size=600), st.binary(max_size=60).map(lambda raw: raw.decode("latin-1"))))
def test_anything_else_is_no_session(text):
    sessions = Fleet().node()
    assert sessions.read(text) is None
    assert sessions.read_ticket(text) is None


def test_neither_stands_for_the_other(fleet):
    sessions = fleet.node()
    value, session = sessions.open("ann")
    token, ticket = sessions.live_pass(session)
    assert sessions.read_ticket(ticket) == session
    assert sessions.read(ticket) is sessions.read_ticket(value) is sessions.read(token) is sessions.read_ticket(token) is None
    assert sessions.read(sessions.csrf_of(session)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"users": ({"name": "rob", "password_hash": HASH, "role": "operator"},)},  # gone
        {"users": ({"name": "ann", "password_hash": OTHER_HASH, "role": "operator"},)},  # has another password
        {"secret": SECRET[::-1]},
    ],
)
def test_does_not_outlive_who_has_it(fleet, changed):
    value, _ = fleet.node().open("ann")
    assert fleet.node(*changed.get("users", ()), secret=changed.get("secret", SECRET)).read(value) is None


def test_a_role_is_what_the_settings_say_now(fleet):
    value, _ = fleet.node().open("ann")
    read = fleet.node({"name": "ann", "password_hash": HASH, "role": "read"}).read(value)
    assert read is not None and read.role == "read"


def test_each_session_has_its_own_word(fleet):
    sessions = fleet.node()
    (_, first), (_, second) = sessions.open("ann"), sessions.open("ann")
    word = sessions.csrf_of(first)
    assert sessions.is_csrf(first, word)
    assert not sessions.is_csrf(second, word)
    for given_word in ("", word[:-1], word + "A", "\ud800", first.id):
        assert not sessions.is_csrf(first, given_word)
    assert fleet.node(secret=SECRET[::-1]).csrf_of(first) != word
