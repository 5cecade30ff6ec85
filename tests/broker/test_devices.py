"""The rules that an address must meet, provider by provider."""

import base64
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st

from broker.devices import Registration, check_registration
from broker.errors import BadInput
from broker.notification import Provider

APNS_TOKEN = "0f" * 32
FCM_TOKEN = "dQw4w9WgXcQ:APA91b-_.%/+=~"


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


POINT = ec.derive_private_key(1, ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
KEYS = {"p256dh": base64url(POINT), "auth": base64url(b"0123456789abcdef")}
ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/abc"


def subscription(**changes: Any) -> dict[str, Any]:
    return {"endpoint": ENDPOINT, "keys": KEYS} | changes


def refusal(provider: str, token: object, **more: Any) -> BadInput:
    with pytest.raises(BadInput) as raised:
        check_registration("42", provider, token, **more)
    return raised.value


# Every provider


@pytest.mark.parametrize(
    ("provider", "token", "platform"),
    [
        ("apns", APNS_TOKEN, "ios"),
        ("fcm", FCM_TOKEN, "android"),
        ("webpush", subscription(), "web"),
        ("email", "ann@example.org", "email"),
        ("sms", "+4915112345678", "phone"),
        ("webhook", "https://hooks.example.org/T1/secret", "webhook"),
        ("webhook", "pager-of-ann", "webhook"),
    ],
)
def test_the_platform_follows_from_the_provider_unless_told(provider, token, platform):
    assert check_registration("42", provider, token).platform == platform
    assert check_registration("42", provider, token, platform="watch").platform == "watch"


def test_everything_said_is_in_the_registration():
    registration = check_registration("42", "fcm", FCM_TOKEN, "tablet", "de-DE", "Europe/Berlin", "kiosk")
    assert registration == Registration("42", Provider.FCM, FCM_TOKEN, "tablet", "de-DE", "Europe/Berlin", "kiosk")


def test_a_device_has_a_user():
    with pytest.raises(BadInput) as raised:
        check_registration("", "fcm", FCM_TOKEN)
    assert raised.value.field == "user"


@pytest.mark.parametrize("provider", ["", "APNS", "fax", "fcm "])
def test_an_unknown_provider_is_refused_with_the_known_ones(provider):
    error = refusal(provider, "x")
    assert error.field == "provider"
    assert "apns, fcm, webpush, email, sms, webhook" in error.rule


@pytest.mark.parametrize(("field", "limit"), [("platform", 32), ("locale", 35), ("timezone", 64)])
@pytest.mark.parametrize("make_value", [lambda limit: "x" * (limit + 1), lambda limit: "a\nb", lambda limit: "\x00"])
def test_words_are_short_and_printable(field, limit, make_value):
    error = refusal("fcm", FCM_TOKEN, **{field: make_value(limit)})
    assert (error.field, error.rule) == (field, f"must be at most {limit} printable characters")


@pytest.mark.parametrize(
    ("field", "value"), [("platform", "x" * 32), ("locale", "en-Latn-GB-u-ca-gregory-x-abcdefgh"), ("locale", "pt_BR.UTF-8")]
)
def test_words_of_full_length_pass(field, value):
    assert getattr(check_registration("42", "fcm", FCM_TOKEN, **{field: value}), field) == value


@pytest.mark.parametrize("locale", ["nonsense!", "e", "english language", "de-", "C"])
def test_a_locale_is_a_language(locale):
    error = refusal("fcm", FCM_TOKEN, locale=locale)
    assert (error.field, error.rule) == ("locale", 'must be a language such as "de" or "pt-BR"')


@pytest.mark.parametrize(
    "timezone", ["Europe/Atlantis", "../../etc/passwd", "/etc/localtime", "Europe/", "Europe", "+01:00", "."]
)
def test_a_timezone_is_one_of_the_iana(timezone):
    error = refusal("fcm", FCM_TOKEN, timezone=timezone)
    assert (error.field, "IANA" in error.rule) == ("timezone", True)


@pytest.mark.parametrize("provider", ["apns", "fcm", "email"])
@pytest.mark.parametrize("token", [None, 7, b"ab", ["x"], {"endpoint": "x"}])
def test_a_token_is_text(provider, token):
    assert (refusal(provider, token).field, refusal(provider, token).rule) == ("token", "must be text")


# APNs


@pytest.mark.parametrize("token", ["a" * 32, "a" * 200, APNS_TOKEN])
def test_an_apns_token_is_hexadecimal(token):
    assert check_registration("42", "apns", token).token == token


def test_an_apns_token_is_kept_in_small_letters_so_that_one_device_has_one_address():
    assert check_registration("42", "apns", APNS_TOKEN.upper()).token == APNS_TOKEN


@pytest.mark.parametrize("token", ["", "a" * 31, "a" * 201, "g" * 64, f"<{APNS_TOKEN}>", APNS_TOKEN + "\n", "٣" * 64])
def test_another_apns_token_is_refused(token):
    assert (refusal("apns", token).field, "hexadecimal" in refusal("apns", token).rule) == ("token", True)


# FCM


@pytest.mark.parametrize("token", ["a", FCM_TOKEN, "x" * 4096])
def test_an_fcm_token_is_kept_as_it_is(token):
    assert check_registration("42", "fcm", token).token == token


@pytest.mark.parametrize("token", ["", "x" * 4097, "a b", "a\n", "é", 'a"b', "a{b}"])
def test_another_fcm_token_is_refused(token):
    assert (refusal("fcm", token).field, "FCM" in refusal("fcm", token).rule) == ("token", True)


# Email


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.org",
        "a@b",
        "ann+news@mail.example.org",
        "o'neil@example.org",
        f"{'a' * 64}@example.org",
        "x!#$%&*/=?^_`{|}~-@e.org",
    ],
)
def test_a_mail_address_is_kept_as_it_is(address):
    assert check_registration("42", "email", address).token == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ann",
        "@example.org",
        "ann@",
        "ann@@example.org",
        "ann@example..org",
        "ann@-example.org",
        "ann@example-.org",
        "ann@example.org.",
        "ann @example.org",
        '"ann smith"@example.org',
        "ann@example.org,bob@example.org",
        "ann@example.org\nBcc: bob@example.org",
        "ann@example.org\r\n",
        "Ann <ann@example.org>",
        "änn@example.org",
        "ann@exämple.org",
        "ann@[127.0.0.1]",
        f"{'a' * 65}@example.org",
        f"ann@{'a' * 251}",
    ],
)
def test_what_is_not_one_plain_address_is_refused(address):
    assert (refusal("email", address).field, "mail address" in refusal("email", address).rule) == ("token", True)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60).filter(lambda text: any(c in text for c in ',;<>\r\n "\\')))
def test_nothing_that_could_begin_a_second_recipient_passes(text):
    for address in (f"ann@example.org{text}", f"{text}ann@example.org", f"ann@{text}example.org"):
        assert refusal("email", address).field == "token"


# Web Push


def test_a_subscription_keeps_endpoint_and_keys_only():
    registration = check_registration("42", "webpush", subscription(expirationTime=None, more={"x": 1}))
    assert msgspec.json.decode(registration.token) == {"endpoint": ENDPOINT, "keys": KEYS}


def test_a_subscription_may_come_as_its_json_text():
    as_object = check_registration("42", "webpush", subscription())
    assert check_registration("42", "webpush", msgspec.json.encode(subscription()).decode()) == as_object


def test_keys_may_be_padded():
    keys = {"p256dh": KEYS["p256dh"] + "=", "auth": KEYS["auth"] + "=="}
    assert check_registration("42", "webpush", subscription(keys=keys))


@pytest.mark.parametrize(
    "token",
    [
        None,
        7,
        [],
        "",
        "no json",
        "[]",
        '"text"',
        "{}",
        {},
        {"endpoint": ENDPOINT},
        subscription(keys=None),
        subscription(keys=[]),
    ],
)
def test_what_is_no_subscription_is_refused(token):
    error = refusal("webpush", token)
    assert (error.field, "endpoint and keys" in error.rule) == ("token", True)


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        7,
        "",
        "http://push.example.org/x",
        "ftp://push.example.org/x",
        "//push.example.org/x",
        "https://",
        "https:///x",
        "https://user@push.example.org/x",
        "https://:pw@push.example.org/x",
        "https://user:pw@push.example.org/x",
        "https://push.example.org/x#part",
        "https://push.example.org:port/x",
        "https://push.example.org:99999/x",
        "https://[::1/x",
        "https://püsh.example.org/x",
        "https://push.example.org/a b",
        "https://push.example.org/a\r\nHost: x",
        "https://push.example.org/\tx",
        "https://push.example.org/" + "x" * 2048,
    ],
)
def test_an_endpoint_is_a_plain_https_address(endpoint):
    error = refusal("webpush", subscription(endpoint=endpoint))
    assert (error.field, "https address" in error.rule) == ("token.endpoint", True)


@pytest.mark.parametrize(
    "value", [None, 7, "", "!!!", "a", base64url(POINT[:-1]), base64url(POINT + b"x"), KEYS["p256dh"] + "\n", "é" * 88]
)
def test_the_public_key_is_65_bytes(value):
    error = refusal("webpush", subscription(keys=KEYS | {"p256dh": value}))
    assert (error.field, error.rule) == ("token.keys.p256dh", "must be 65 bytes in base64url")


@pytest.mark.parametrize("raw", [b"\x04" + b"\x01" * 64, b"\x00" * 65, b"\x02" + POINT[1:]])
def test_the_public_key_lies_on_the_curve(raw):
    error = refusal("webpush", subscription(keys=KEYS | {"p256dh": base64url(raw)}))
    assert (error.field, error.rule) == ("token.keys.p256dh", "must be a point of the curve P-256")


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "",
        base64url(b"x" * 15),
        base64url(b"x" * 17),
        "a",
        KEYS["auth"] + " ",
        KEYS["auth"] + "===",
        "++++" + KEYS["auth"][4:],
    ],
)
def test_the_secret_is_16_bytes(value):
    error = refusal("webpush", subscription(keys=KEYS | {"auth": value}))
    assert (error.field, error.rule) == ("token.keys.auth", "must be 16 bytes in base64url")


# Garbage

TEXTS = st.text(max_size=80)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ALMOST = st.fixed_dictionaries(
    {
        "endpoint": JSON | st.just(ENDPOINT) | TEXTS.map("https://{}".format),
        "keys": JSON | st.fixed_dictionaries({"p256dh": JSON | st.just(KEYS["p256dh"]), "auth": JSON | st.just(KEYS["auth"])}),
    }
)


@given(
    user=TEXTS,
    provider=st.sampled_from([*Provider, "sms"]) | TEXTS,
    token=JSON | ALMOST | TEXTS,
    platform=TEXTS,
    locale=TEXTS,
    timezone=TEXTS | st.sampled_from(["", "Europe/Berlin"]),
)
@example("42", "webpush", '{"endpoint":"\ud800"', "", "", "")
@example("42", "webpush", "\ud800", "", "", "")
@example("42", "fcm", FCM_TOKEN, "", "", "\ud800")
@example("42", "fcm", FCM_TOKEN, "", "", "a" * 64 + "/")
@example("42", "webpush", subscription(endpoint="https://\u2100.example.org/"), "", "", "")
@example("42", "webpush", subscription(endpoint="https://a\ud800/"), "", "", "")
@example("42", "webpush", subscription(keys=KEYS | {"auth": "\ud800"}), "", "", "")
def test_garbage_is_taken_or_refused_and_nothing_else(user, provider, token, platform, locale, timezone):
    try:
        registration = check_registration(user, provider, token, platform, locale, timezone)
    except BadInput as error:
        assert error.field.partition(".")[0] in ("user", "provider", "token", "platform", "locale", "timezone")
        assert error.rule
    else:
        assert registration.user == user
        assert registration.provider == provider
        assert registration.platform
        assert registration.token.isascii()


# Phones, webhooks, apps


@pytest.mark.parametrize("number", ["+1234567", "+4915112345678", "+123456789012345"])
def test_numbers_in_e164_pass(number):
    assert check_registration("42", "sms", number).token == number


@pytest.mark.parametrize(
    "number",
    [
        "",
        "4915112345678",
        "+0915112345678",
        "+123456",
        "+1234567890123456",
        "+49 151 12345678",
        "+49151\n12345678",
        "+٤٩١٥١١٢٣",
        "0049151123456",
    ],
)
def test_whatever_else_is_no_number(number):
    assert refusal("sms", number).field == "token"
    assert "E.164" in refusal("sms", number).rule


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example.org/a",
        "https://",
        "https://ann@hooks.example.org/",
        "https://hooks.example.org/#a",
        "https://hooks.example.org:port/",
        "https://hooks.example.org/\nHost: x",
        "ftp://hooks.example.org/",
        "pager of ann",
        "",
        "x" * 256,
    ],
)
def test_a_webhook_is_a_name_or_a_plain_https_address(address):
    assert refusal("webhook", address).field == "token"


@pytest.mark.parametrize("app", ["x" * 65, "a b", "a:b", "a/b", "\n"])
def test_the_name_of_an_app_is_plain(app):
    assert refusal("fcm", FCM_TOKEN, app=app).field == "app"
