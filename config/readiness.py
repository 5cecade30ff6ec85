"""Whether settings that are well-formed are also fit for a start, and what a careful operator should know of them."""

import ipaddress
from urllib.parse import urlsplit

from config.certificates import BadCertificate, check_authorities, check_pair
from config.proxies import CHANNEL_EVENTS, channel_sections, rpc_sections
from config.proxy_settings import DEFAULT_PROXY
from config.settings import Settings
from config.token_settings import IssuerKeys, TokenSettings

__all__ = ["advise", "check_ready", "is_loopback"]

BROKER_SCHEMES = (
    "memory",
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
    "redis+unix",
)
STORE_SCHEMES = ("sqlite", "postgresql")

_HMAC_MIN_BYTES = 32  # RFC 7518 §3.2: as long as the digest


def check_ready(settings: Settings, *, has_clients: bool = True) -> list[str]:
    """Write a line for each reason that forbids a start; none means ready. Without clients, nobody needs a key of theirs."""
    client = settings.client
    problems = []
    if has_clients and not client.token.has_key and not _needs_no_key(settings):
        problems.append(
            "client.token: no key is set, so that no client could connect: set client.token.hmac_secret_key, rsa_public_key, "
            "ecdsa_public_key or eddsa_public_key (`heliograph init` writes a file with a fresh secret; "
            "`heliograph serve --dev` makes one for trying things out)"
        )
    if has_clients and client.subscription_token.enabled and not client.subscription_token.has_key:
        problems.append("client.subscription_token: is enabled but no key is set")
    problems += _scheme_problems("broker.url", settings.broker.url, BROKER_SCHEMES)
    problems += _scheme_problems("store.url", settings.store.url, STORE_SCHEMES)
    problems += _consumer_problems(settings) if has_clients else []
    problems += _tls_problems(settings)
    namespace = client.subscribe_to_user_personal_channel.personal_channel_namespace
    if namespace and namespace not in {entry.name for entry in settings.channel.namespaces}:
        problems.append(
            "client.subscribe_to_user_personal_channel.personal_channel_namespace: must name one of channel.namespaces "
            f'(got "{namespace}")'
        )
    return problems


def advise(settings: Settings) -> list[str]:
    """Write a line for each thing that starts but is probably not meant."""
    client = settings.client
    lines = []
    if not settings.http_api.keys and not settings.http_api.insecure:
        lines.append("http_api.keys: no key is set, so that every call of /api answers 401")
    if not is_loopback(settings.http.host):
        for path, is_on in (
            ("client.insecure", client.insecure),
            ("client.insecure_skip_token_signature_verify", client.insecure_skip_token_signature_verify),
            ("http_api.insecure", settings.http_api.insecure),
        ):
            if is_on:
                lines.append(f"{path}: is on while http.host is {settings.http.host}: anybody who reaches the port gets in")
    for section in ("token", "subscription_token"):
        lines += _token_advice(f"client.{section}", getattr(client, section))
    if client.user_id_http_header and (client.allow_anonymous_connect_without_token or client.insecure):
        lines.append("client.user_id_http_header: is not used while clients without a token are let in as anonymous")
    lines += _idle_proxies(settings)
    lines += _admin_advice(settings)
    if "*" in client.allowed_origins:
        lines.append("client.allowed_origins: lets every web page connect in the name of its visitors")
    return lines


def _token_advice(section: str, settings: TokenSettings) -> list[str]:
    issuers: dict[str, IssuerKeys] = {
        section: settings,
        **{f"{section}.issuers[{number}]": one for number, one in enumerate(settings.issuers)},
    }
    lines = [
        f"{path}.hmac_secret_key: is shorter than {_HMAC_MIN_BYTES} bytes and can be guessed"
        for path, keys in issuers.items()
        if 0 < len(keys.hmac_secret_key.get_secret_value().encode()) < _HMAC_MIN_BYTES
    ]
    return lines + [
        f"{path}.jwks_url: is no https, so that whoever sits on the way can put in keys of their own"
        for path, keys in issuers.items()
        if keys.jwks_url.startswith("http://") and not is_loopback(urlsplit(keys.jwks_url).hostname or "")
    ]


def _consumer_problems(settings: Settings) -> list[str]:
    """Write a line for each consumer without an address where the process's own is of another kind."""
    problems = []
    for number, consumer in enumerate(settings.consumers):
        if not consumer.enabled:
            continue
        path = f"consumers[{number}].{consumer.type}"
        if consumer.type == "postgresql":
            if not consumer.postgresql.dsn.get_secret_value() and not settings.store.url.startswith("postgresql"):
                problems.append(f"{path}.dsn: must be set, for store.url is no PostgreSQL that could hold the table")
        elif not consumer.redis_stream.address.get_secret_value() and not settings.broker.url.startswith("redis"):
            problems.append(f"{path}.address: must be set, for broker.url is no Redis that could hold the stream")
    return problems


def _tls_problems(settings: Settings) -> list[str]:
    tls = settings.http.tls
    if not tls.is_on:
        return []
    try:
        check_pair(tls.cert_file, tls.key_file)
        if tls.client_ca_file:
            check_authorities("client_ca_file", tls.client_ca_file)
    except BadCertificate as exc:
        return [f"http.tls.{exc}"]
    return []


def _admin_advice(settings: Settings) -> list[str]:
    admin = settings.admin
    if not admin.enabled:
        return ["admin.users: nobody can log in, as admin.enabled is false"] if admin.users else []
    if not (admin.origin or settings.http.tls.is_on or is_loopback(settings.http.host)):
        return ["admin.enabled: without http.tls or admin.origin the page is served to this machine alone"]
    return []


def _idle_proxies(settings: Settings) -> list[str]:
    asked = {
        (event, getattr(options, f"{event}_proxy_name"))
        for _, options in channel_sections(settings)
        for event in CHANNEL_EVENTS
        if getattr(options, f"{event}_proxy_enabled")
    }
    asked |= {("rpc", options.proxy_name) for _, options in rpc_sections(settings) if options.proxy_enabled}
    lines = [
        f"channel.proxy.{event}: is never asked, as no namespace sets {event}_proxy_enabled"
        for event in CHANNEL_EVENTS
        if getattr(settings.channel.proxy, event).enabled and (event, DEFAULT_PROXY) not in asked
    ]
    named = {name for _, name in asked}
    return lines + [
        f"proxies[{number}]: is never asked, as no namespace that asks a proxy names {proxy.name}"
        for number, proxy in enumerate(settings.proxies)
        if proxy.name not in named
    ]


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _needs_no_key(settings: Settings) -> bool:
    """Whether clients can get in without a token that is verified, because somebody chose so by name."""
    client = settings.client
    return (
        client.insecure
        or client.insecure_skip_token_signature_verify
        or client.allow_anonymous_connect_without_token
        or bool(client.user_id_http_header)
        or client.proxy.connect.enabled
    )


def _scheme_problems(path: str, url: str, schemes: tuple[str, ...]) -> list[str]:
    """Write a line where an address has no scheme of ours; only the scheme is shown, the rest may hold a password."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme in schemes and "://" in url:
        return []
    known = " or ".join(f"{name}://" for name in schemes)
    got = f'got "{scheme}://"' if scheme and "://" in url else "got none"
    return [f"{path}: must begin with {known} ({got})"]
