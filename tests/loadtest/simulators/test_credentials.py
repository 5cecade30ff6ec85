"""Keys are made once, kept private, and agreed on."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.clock import ManualClock
from loadtest.simulators.credentials import Credentials, CredentialsUnreadable, open_credentials


def open_in(folder: str) -> Credentials:
    return open_credentials(Path(folder), now=ManualClock().now())


def test_keys_are_kept_with_mode_0600(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    first = open_in(str(folder))
    kept = folder / "credentials.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["credentials.json"]
    assert open_in(str(folder)) == first


def test_keys_do_not_show() -> None:
    assert repr(Credentials(*["secret"] * len(Credentials.__struct_fields__))) == "Credentials(…)"


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"apns_key_id": 1}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "credentials.json").write_bytes(content)
    with pytest.raises(CredentialsUnreadable, match=r"credentials\.json: not a file of simulator credentials; delete it"):
        open_in(str(tmp_path))


def test_those_who_start_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(open_in, [str(tmp_path)] * 4))
    assert made == [made[0]] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["credentials.json"]
