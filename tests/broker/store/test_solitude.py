"""Who is alone with a file knows it, and whoever comes then waits until it shares."""

import threading
from pathlib import Path

import pytest

from broker.store.solitude import Solitude


def test_the_first_is_alone_and_the_second_is_not(file: Path) -> None:
    first = Solitude.seek(file)
    first.share()
    second = Solitude.seek(file)
    assert (first.is_alone, second.is_alone) == (True, False)
    first.end()
    third = Solitude.seek(file)
    assert third.is_alone is False
    second.end()
    third.end()
    last = Solitude.seek(file)
    assert last.is_alone is True
    last.end()
    last.end()


def test_who_comes_while_another_is_alone_waits_until_it_shares(file: Path) -> None:
    first = Solitude.seek(file)
    found: list[Solitude] = []
    waiting = threading.Thread(target=lambda: found.append(Solitude.seek(file)))
    waiting.start()
    assert found == []
    first.share()
    waiting.join(timeout=30)
    assert [one.is_alone for one in found] == [False]
    found[0].end()
    first.end()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Solitude.seek(tmp_path / "nowhere" / "heliograph.db")
