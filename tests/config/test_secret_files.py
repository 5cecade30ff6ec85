"""Values that stand in files of their own: by a variable that ends in `_FILE`, or by a directory of secrets."""

import pytest
from pydantic import TypeAdapter

from config.display import show_settings
from config.errors import SettingsError
from config.loader import LoadedSettings, load_with_origins
from config.schema import _section_of, _table_of, list_settings, variable_of
from config.settings import Settings

SECRET = "a secret that is longer than thirty-two bytes"
PATH = "client.token.hmac_secret_key"
VARIABLE = variable_of(PATH)


def load(file=None, **environ):
    return load_with_origins(file, environ=environ)


def problems_of(**environ):
    with pytest.raises(SettingsError) as refused:
        load(**environ)
    return list(refused.value.problems)


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_variable_may_name_a_file(tmp_path):
    loaded = load(**{f"{VARIABLE}_FILE": write(tmp_path, "any", f"{SECRET}\n")})
    assert loaded.settings.client.token.hmac_secret_key.get_secret_value() == SECRET
    assert loaded.origins[PATH] == f"{VARIABLE}_FILE"


def test_any_setting_may_stand_in_a_file_and_lists_are_json(tmp_path):
    loaded = load(
        HELIOGRAPH_STORE__URL_FILE=write(tmp_path, "url", "postgresql://u:pw@h/db"),
        HELIOGRAPH_HTTP_API__KEYS_FILE=write(tmp_path, "keys", '["one", "two"]\n'),
    )
    assert loaded.settings.store.url == "postgresql://u:pw@h/db"
    assert [key.get_secret_value() for key in loaded.settings.http_api.keys] == ["one", "two"]


def test_a_directory_holds_files_named_like_settings(tmp_path):
    write(tmp_path, PATH, f"{SECRET}\r\n")
    write(tmp_path, "http_api.keys", '["k"]')
    (tmp_path / "..data").mkdir()
    write(tmp_path, ".hidden", "left alone")
    loaded = load(HELIOGRAPH_SECRETS_DIR=str(tmp_path))
    assert loaded.settings.client.token.hmac_secret_key.get_secret_value() == SECRET
    assert loaded.origins[PATH] == str(tmp_path / PATH)


def test_what_is_nearer_wins(tmp_path):
    write(tmp_path, "http.port", "1")
    write(tmp_path, "http.host", "directory")
    file = tmp_path.parent / "port"
    file.write_text("2")
    toml = tmp_path.parent / "h.toml"
    toml.write_text('[http]\nport = 4\nhost = "toml"\n')
    environ = {"HELIOGRAPH_SECRETS_DIR": str(tmp_path), "HELIOGRAPH_HTTP__PORT_FILE": str(file)}
    http = load(toml, **environ).settings.http
    assert (http.port, http.host) == (2, "directory")
    assert load(toml, HELIOGRAPH_SECRETS_DIR=str(tmp_path), HELIOGRAPH_HTTP__PORT="3").settings.http.port == 3


def test_a_setting_that_names_a_file_by_itself_stays_one(tmp_path):
    path = write(tmp_path, "ca.pem", "not read here")
    assert load(HELIOGRAPH_BROKER__CA_FILE=path).settings.broker.ca_file == path


@pytest.mark.parametrize("text", ["s3cr3t-s3cr3t", "[1"])
def test_no_problem_quotes_a_secret(tmp_path, text):
    file = write(tmp_path, "keys", text)
    (problem,) = problems_of(HELIOGRAPH_HTTP_API__KEYS_FILE=file)
    assert problem == 'http_api.keys: must be a JSON list such as ["a", "b"] (from HELIOGRAPH_HTTP_API__KEYS_FILE)'


def test_what_cannot_be_read_is_told_by_its_name(tmp_path):
    gone, bytes_file, long_file = tmp_path / "gone", tmp_path / "bytes", tmp_path / "long"
    bytes_file.write_bytes(b"\xff")
    long_file.write_bytes(b"x" * 65537)
    for file, rule in (
        (gone, "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (bytes_file, "must be UTF-8 text"),
        (long_file, "is larger than 65536 bytes"),
    ):
        assert problems_of(**{f"{VARIABLE}_FILE": str(file)}) == [f"{PATH}: {file} {rule} (from {VARIABLE}_FILE)"]
    folder = tmp_path / "none"
    assert problems_of(HELIOGRAPH_SECRETS_DIR=str(folder)) == [
        f"HELIOGRAPH_SECRETS_DIR: {folder} cannot be read: No such file or directory"
    ]


def test_a_file_that_is_named_like_nothing_is_a_mistake(tmp_path):
    write(tmp_path, "client.token.hmac_secret", SECRET)
    assert problems_of(HELIOGRAPH_SECRETS_DIR=str(tmp_path)) == [
        f"{tmp_path}/client.token.hmac_secret: is named like no setting that can be set alone"
    ]


def test_both_at_once_are_refused(tmp_path):
    environ = {VARIABLE: SECRET, f"{VARIABLE}_FILE": write(tmp_path, "any", SECRET)}
    assert problems_of(**environ) == [
        f"{PATH}: is set by {VARIABLE} and by {VARIABLE}_FILE: which of both holds could not be told"
    ]


def test_a_file_of_an_unknown_setting_is_unknown():
    (problem,) = problems_of(HELIOGRAPH_CLIENT__TOKEN__HMAC_FILE="/x")
    assert problem.startswith("HELIOGRAPH_CLIENT__TOKEN__HMAC_FILE")


SECRETS = [setting for setting in list_settings() if setting.is_secret]


def test_there_are_many_secrets():
    assert len(SECRETS) > 25


@pytest.mark.parametrize("setting", SECRETS, ids=lambda setting: setting.path)
def test_no_secret_is_shown_or_written_out(setting):
    """Whatever holds a secret, `config show` hides it, and so do repr and str of the settings."""
    tables, marker = setting.path.split("[]."), "s3cr3t-of-this-test-0123456789abcdef"
    value = [marker] if setting.kind.startswith("list of") else {"a": marker} if setting.kind.startswith("table of") else marker
    tree = value
    for depth, table in enumerate(reversed(tables)):
        names = table.split(".")
        for name in reversed(names):
            tree = {name: tree}
        if depth + 1 < len(tables):
            tree = [{**tree, "name": "one"}]
    settings = construct(Settings, tree)
    shown = [entry.value for entry in show_settings(LoadedSettings(settings, {}))]
    for text in (*shown, repr(settings), str(settings), settings.model_dump_json()):
        assert marker not in text
    assert any("…" in value for value in shown)


def construct(model, tree):
    """Put a value into a model past its rules: those of sections may ask for more than one setting at once."""
    fields = {}
    for name, value in tree.items():
        annotation = model.model_fields[name].annotation
        if section := _section_of(annotation):
            fields[name] = construct(section, value)
        elif table := _table_of(annotation):
            fields[name] = tuple(construct(table, entry) for entry in value)
        else:
            fields[name] = TypeAdapter(annotation).validate_python(value)
    return model.model_construct(_fields_set=set(fields), **{**defaults_of(model), **fields})


def defaults_of(model):
    return {name: field.default for name, field in model.model_fields.items() if not field.is_required()}
