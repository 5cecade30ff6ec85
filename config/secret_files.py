"""Settings whose values stand in files of their own, as orchestrators hand out secrets.

`HELIOGRAPH_STORE__URL_FILE=/run/secrets/store` reads what `HELIOGRAPH_STORE__URL` would have said; any setting that has a
variable can be read so. `HELIOGRAPH_SECRETS_DIR=/run/secrets` reads every file there that is named like a setting, by its
dotted path (`client.token.hmac_secret_key`); files that begin with a dot are left alone. One line end at the end of a file is
no part of the value.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from config.schema import ENVIRONMENT_PREFIX

__all__ = ["DIRECTORY", "FILE_SUFFIX", "Told", "path_of", "read_secret_files"]

DIRECTORY: Final = f"{ENVIRONMENT_PREFIX}SECRETS_DIR"
FILE_SUFFIX: Final = "_FILE"
_LONGEST_BYTES: Final = 65536


class Told(msgspec.Struct, frozen=True):
    """What a file says of a setting: its text, or why there is none; and where that came from."""

    path: str
    origin: str
    text: str = ""
    problem: str = ""


def read_secret_files(environ: Mapping[str, str], known: Mapping[str, str]) -> Iterator[Told]:
    """Read all files that the environment names, those of the directory first, for the others win over them.

    Args:
        known: Dotted paths by the variables that set them.
    """
    if directory := environ.get(DIRECTORY):
        yield from _of_directory(Path(directory), frozenset(known.values()))
    for variable in sorted(environ):
        path = path_of(variable, known)
        if path is not None:
            yield _told(path, Path(environ[variable]), variable)


def path_of(variable: str, known: Mapping[str, str]) -> str | None:
    """Tell which setting a variable names a file of; None where it is a setting by itself, or nothing."""
    name = variable.upper()
    return known.get(name.removesuffix(FILE_SUFFIX)) if name.endswith(FILE_SUFFIX) and name not in known else None


def _of_directory(directory: Path, paths: frozenset[str]) -> Iterator[Told]:
    try:
        files = sorted(file for file in directory.iterdir() if not file.name.startswith(".") and not file.is_dir())
    except OSError as exc:
        yield Told("", DIRECTORY, problem=f"{DIRECTORY}: {directory} cannot be read: {exc.strerror}")
        return
    for file in files:
        if file.name in paths:
            yield _told(file.name, file, str(file))
        else:
            yield Told("", str(file), problem=f"{file}: is named like no setting that can be set alone")


def _told(path: str, file: Path, origin: str) -> Told:
    try:
        with file.open("rb") as opened:
            data = opened.read(_LONGEST_BYTES + 1)
        text = data.decode()
    except OSError as exc:
        return Told(path, origin, problem=f"{path}: {file} cannot be read: {exc.strerror} (from {origin})")
    except UnicodeDecodeError:
        return Told(path, origin, problem=f"{path}: {file} must be UTF-8 text (from {origin})")
    if len(data) > _LONGEST_BYTES:
        return Told(path, origin, problem=f"{path}: {file} is larger than {_LONGEST_BYTES} bytes (from {origin})")
    return Told(path, origin, text.removesuffix("\n").removesuffix("\r"))
