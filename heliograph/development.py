"""Development mode: everything on, on loopback only, with secrets that are made once and kept in `./data/`.

Two servers that are started in one directory share these secrets, also when both start at the same moment. Environment and
flags win over all that is chosen here. What the provider simulators are reached by comes in later, as one more layer.
"""

import base64
import hashlib
import json
import os
import secrets
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

import msgspec

from config.errors import SettingsError
from config.loader import NOTHING, LoadedSettings, load_with_origins
from config.readiness import is_loopback
from config.settings import Settings
from gateway.admin.passwords import Cost, hash_password
from gateway.admin.sessions import derive_key

__all__ = ["DATA_DIRECTORY", "OPERATOR", "SECRETS_FILE", "Development", "banner", "open_development"]

DATA_DIRECTORY: Final = Path("data")
SECRETS_FILE: Final = "development.toml"
OPERATOR: Final = "operator"

_HEAD = """\
# Secrets of development mode, made by `heliograph serve --dev`. Delete this file to get new ones.
"""


class Development(msgspec.Struct, frozen=True):
    """What a development server knows beside its settings.

    `directory` is where it keeps its files; `overrides` are the flags and `environ` the environment (None for the process's
    own) that it was started with, kept because the settings are built again once the simulators listen.
    """

    directory: Path
    hmac_secret: str
    api_key: str
    overrides: Mapping[str, Any] = NOTHING
    environ: Mapping[str, str] | None = None

    @property
    def operator_password(self) -> str:
        """What opens /admin. Made of the kept secret, so that it is kept as long, and tells nothing of it."""
        return self._derive("admin password")[:24]

    @property
    def operator_hash(self) -> str:
        # A password made of chance needs no dear hash; and one that is the same for the same password.
        salt = hashlib.sha256(self.operator_password.encode()).digest()[:16]
        return hash_password(self.operator_password, Cost(4, 8, 1), salt=salt)

    def _derive(self, purpose: str) -> str:
        return base64.urlsafe_b64encode(derive_key(self.hmac_secret.encode(), purpose)).rstrip(b"=").decode()

    def load(self, providers: Mapping[str, Any] = NOTHING, *, port: int | None = None) -> LoadedSettings:
        """Build the settings.

        Args:
            providers: Shaped like the section `providers`: how the simulators are reached and with which credentials.
            port: The port that is listened on where it is known better than the settings know it (they may say 0).
        Raises:
            SettingsError: A flag or variable is wrong, or the host is no loopback address.
        """
        loaded = self._load(providers, port)
        if port is None:
            loaded = self._load(providers, loaded.settings.http.port)
        host = loaded.settings.http.host
        if not is_loopback(host):
            raise SettingsError(
                [
                    f'http.host: development mode listens on loopback only (got "{host}"): '
                    "use 127.0.0.1, or a settings file (`heliograph init`) to serve others"
                ]
            )
        return loaded

    def settings(self, providers: Mapping[str, Any] = NOTHING, *, port: int | None = None) -> Settings:
        """Build the settings as `load` does, without their origins."""
        return self.load(providers, port=port).settings

    def _load(self, providers: Mapping[str, Any], port: int | None) -> LoadedSettings:
        layer = self._defaults(port) | {"providers": providers}
        return load_with_origins(None, overrides=self.overrides, defaults=layer, environ=self.environ)

    def _defaults(self, port: int | None) -> dict[str, Any]:
        """The layer below environment and flags: whoever has a valid token may do everything, and nobody else anything."""
        return {
            "http_api": {"keys": [self.api_key]},
            "store": {"url": f"sqlite:///{self.directory / 'heliograph.db'}"},
            "client": {
                "token": {"hmac_secret_key": self.hmac_secret},
                "allowed_origins": loopback_origins(port) if port is not None else [],
                "subscribe_to_user_personal_channel": {"enabled": True},
            },
            "channel": {
                "without_namespace": {
                    "presence": True,
                    "join_leave": True,
                    "history_size": 100,
                    "history_ttl": "300s",
                    "force_recovery": True,
                    "allow_subscribe_for_client": True,
                    "allow_publish_for_client": True,
                    "allow_presence_for_client": True,
                    "allow_history_for_client": True,
                }
            },
            "admin": {
                "enabled": True,
                "users": [{"name": OPERATOR, "password_hash": self.operator_hash, "role": "operator"}],
                "secret": self._derive("admin secret"),
            },
            "health": {"enabled": True},
            "prometheus": {"enabled": True},
            "rpc": {"ping": {"enabled": True}},
        }


def open_development(
    directory: Path = DATA_DIRECTORY,
    *,
    overrides: Mapping[str, Any] = NOTHING,
    environ: Mapping[str, str] | None = None,
) -> Development:
    """Read the secrets of a development directory, making them where there are none yet.

    Raises:
        SettingsError: The directory cannot be used, or its file of secrets is damaged.
    """
    file = directory / SECRETS_FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            _create(file)
        written = tomllib.loads(file.read_text())
        return Development(
            directory=directory,
            hmac_secret=_text(written["client"]["token"]["hmac_secret_key"]),
            api_key=_text(written["http_api"]["keys"][0]),
            overrides=overrides,
            environ=environ,
        )
    except OSError as exc:
        raise SettingsError([f"{exc.filename or file}: cannot be used: {exc.strerror}"]) from None
    except (ValueError, LookupError, TypeError):
        raise SettingsError([f"{file}: is damaged; delete it to get new secrets"]) from None


def banner(settings: Settings, development: Development, *, operations_port: int = 0) -> str:
    """Write what is printed at the start: the page to open, the key, and two calls ready to be copied.

    Args:
        settings: With the port that is listened on.
        development: Where the secrets are kept.
        operations_port: Where operators have a port of their own, which then has their page too; 0 for nowhere.
    """
    host = settings.http.host
    base = f"{'https' if settings.http.tls.is_on else 'http'}://{f'[{host}]' if ':' in host else host}"
    url = f"{base}:{settings.http.port}"
    key = settings.http_api.keys[0].get_secret_value() if settings.http_api.keys else ""
    publish = {"channel": "chat", "data": {"text": "hello"}}
    notify = {"user": "bob", "title": "Hello Bob", "body": "Seen here, or on your phone, or in your mailbox."}
    return "\n".join(
        [
            f"heliograph {version('heliograph')} in development mode",
            f"Push and mail go to simulators; data and secrets are kept in {development.directory}/",
            "",
            f"Open {url}/",
            f"API key: {key}",
            *_operator_lines(settings, development, f"{base}:{operations_port or settings.http.port}"),
            "",
            "Publish to a channel:",
            _curl(f"{url}/api/publish", key, publish),
            "Notify a user:",
            _curl(f"{url}/api/notify", key, notify),
            "",
            "",
        ]
    )


def _operator_lines(settings: Settings, development: Development, url: str) -> list[str]:
    """Tell how to get into the operator's page, where the password that was made is the one that counts."""
    admin = settings.admin
    hashes = [user.password_hash.get_secret_value() for user in admin.users if user.name == OPERATOR]
    if not admin.enabled or hashes != [development.operator_hash]:
        return []
    return [f"Operator's page: {url}/admin, as {OPERATOR} with the password {development.operator_password}"]


def loopback_origins(port: int) -> list[str]:
    """List the origins of pages that are served on a port of this machine; port 0 stands for any."""
    shown = "*" if port == 0 else str(port)
    return [f"{scheme}://{host}:{shown}" for scheme in ("http", "https") for host in ("127.0.0.1", "localhost", "[::1]")]


def _create(file: Path) -> None:
    """Write fresh secrets, whole or not at all; where another process was first, its file stays."""
    text = (
        f"{_HEAD}"
        f"[client.token]\nhmac_secret_key = {json.dumps(secrets.token_urlsafe(48))}\n\n"
        f"[http_api]\nkeys = [{json.dumps(secrets.token_urlsafe(24))}]\n"
    )
    with NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.") as draft:  # born with mode 0600
        draft.write(text)
        draft.flush()
        os.fsync(draft.fileno())
        try:
            os.link(draft.name, file)
        except FileExistsError:
            pass


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a secret must be text")
    return value


def _curl(url: str, key: str, body: Mapping[str, Any]) -> str:
    quoted = json.dumps(body).replace("'", "'\\''")
    return f"  curl {url} -H 'X-API-Key: {key}' -d '{quoted}'"
