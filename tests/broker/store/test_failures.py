"""What drivers raise, in our words."""

import pytest
from sqlalchemy import exc

from broker.errors import BadInput, NotFound, StoreUnavailable
from broker.store.failures import translate, translate_opening, translated
from broker.store.store import open_store
from config.clock import ManualClock


class FromSqlite(Exception):
    def __init__(self, code: int) -> None:
        self.sqlite_errorcode = code


class FromPostgres(Exception):
    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def answered(orig: Exception, kind: type[exc.DBAPIError] = exc.OperationalError) -> exc.DBAPIError:
    return kind("SELECT 1", {}, orig)


UNAVAILABLE = [
    answered(FromSqlite(5)),  # busy
    answered(FromSqlite(5 | 2 << 8)),  # busy, an extended code
    answered(FromSqlite(10)),  # input or output
    answered(FromSqlite(13)),  # the disk is full
    answered(FromSqlite(11), exc.DatabaseError),  # corrupt
    answered(FromPostgres("57P03"), exc.DBAPIError),  # the server is starting
    answered(FromPostgres("53300"), exc.DBAPIError),  # too many connections
    answered(FromPostgres("40P01"), exc.DBAPIError),  # deadlock
    answered(FromPostgres("25006"), exc.DBAPIError),  # read-only
    answered(Exception(), exc.InterfaceError),
    exc.DBAPIError("SELECT 1", {}, Exception(), connection_invalidated=True),
    exc.TimeoutError(),
    TimeoutError(),
    ConnectionRefusedError(),
]
BUGS = [
    answered(FromSqlite(1)),  # an error in the statement
    answered(FromSqlite(19), exc.IntegrityError),
    answered(FromPostgres("42P01"), exc.ProgrammingError),
    answered(FromPostgres("23505"), exc.IntegrityError),
    exc.InvalidRequestError(),
    ZeroDivisionError(),
]


@pytest.mark.parametrize("error", UNAVAILABLE, ids=repr)
def test_what_the_world_did_is_unavailable(error: Exception) -> None:
    with pytest.raises(StoreUnavailable) as unavailable, translated(translate):
        raise error
    assert unavailable.value.__cause__ is error


@pytest.mark.parametrize("error", [*BUGS, NotFound("notification")], ids=repr)
def test_bugs_and_our_own_words_pass_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translated(translate):
        raise error
    assert raised.value is error
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "orig", [FromSqlite(14), FromSqlite(26), FromSqlite(8), FromPostgres("28P01"), FromPostgres("3D000")], ids=repr
)
def test_while_opening_a_wrong_address_is_the_operators(orig: Exception) -> None:
    error = translate_opening(answered(orig))
    assert isinstance(error, BadInput)
    assert error.field == "store.url"


def test_while_opening_all_else_means_the_same() -> None:
    assert isinstance(translate_opening(answered(FromSqlite(5))), StoreUnavailable)
    assert isinstance(translate_opening(ConnectionRefusedError()), StoreUnavailable)
    assert translate_opening(BUGS[0]) is BUGS[0]


@pytest.mark.parametrize("place", ["127.0.0.1:1/d", "/d?host=/nowhere/at/all"])
async def test_a_server_that_is_not_there_is_unavailable(place: str, clock: ManualClock) -> None:
    with pytest.raises(StoreUnavailable):
        await open_store(f"postgresql://user:s3cret@{place}", clock=clock)
