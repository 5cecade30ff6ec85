"""From notify to what the provider received, over the real protocols, and the ack that ends it."""

import asyncio
import re

APNS = "a1" * 32


def email_of(user: str) -> str:
    return f"{user}@example.com"


def outcomes(status):
    return [(step["route"], step.get("provider", ""), step["outcome"]) for step in status["steps"]]


async def test_fcm_reaches_the_phone(server):
    server.call("device_register", user="fcm-user", provider="fcm", token="fcm-user-phone")
    sent = server.notify("fcm-user", title="Title", body="Body ü", data={"k": "v"}, routes=["live", "push"])
    status = await server.settled(sent)
    (item,) = server.outbox(sent)
    assert (item["provider"], item["address"], item["title"], item["body"]) == ("fcm", "fcm-user-phone", "Title", "Body ü")
    assert status["state"] == "exhausted" or status["steps"][-1]["outcome"] == "accepted"


async def test_apns_reaches_the_phone(server):
    server.call("device_register", user="apns-user", provider="apns", token=APNS)
    sent = server.notify("apns-user", title="Title", body="Body", routes=["push"], push_wait_s=0)
    status = await server.settled(sent)
    (item,) = server.outbox(sent)
    assert (item["provider"], item["address"], item["title"], item["body"]) == ("apns", APNS, "Title", "Body")
    assert status["state"] == "exhausted"


async def test_web_push_is_decrypted(server):
    subscription = server.mint_subscription()
    server.call("device_register", user="web-user", provider="webpush", token=subscription)
    sent = server.notify("web-user", title="Títle", body="Body", link="https://example.com/x", push_wait_s=0)
    await server.settled(sent)
    (item,) = server.outbox(sent)
    assert (item["provider"], item["title"], item["body"]) == ("webpush", "Títle", "Body")
    assert item["address"] == subscription["endpoint"]


async def test_mail_arrives(server):
    server.call("device_register", user="mail-user", provider="email", token=email_of("mail-user"))
    sent = server.notify("mail-user", title="Subject line", body="Body text")
    status = await server.settled(sent)
    (item,) = server.outbox(sent)
    assert (item["provider"], item["address"], item["title"]) == ("email", "mail-user@example.com", "Subject line")
    assert "Body text" in item["body"]
    assert status["state"] == "exhausted"
    assert outcomes(status) == [("live", "", "offline"), ("email", "email", "accepted")]
    assert "mail-user@" not in str(status)


async def test_a_mail_tells_that_it_was_shown_and_to_nobody_else(server):
    """N-29: the picture in a mail is fetched by whoever shows it; what it tells is less than seen."""
    server.call("device_register", user="reader", provider="email", token=email_of("reader"))
    sent, other = (server.notify("reader", title=title, body="Body", push_wait_s=60) for title in ("Shown", "Left alone"))
    for one in (sent, other):
        await server.until(lambda one=one: len(server.outbox(one)) == 1, "mailed")
    (item,) = server.outbox(sent)
    (picture,) = re.findall(r'<img src="https://notify\.example\.com(/o/[^"]+)"', item["html"])
    assert sent not in picture
    assert "reader" not in picture
    reader = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.2.0"}
    forged = server.client.get(f"{server.url}{picture[:-2]}AA", headers=reader)
    shown = server.client.get(f"{server.url}{picture}", headers=reader)
    for answer in (forged, shown):
        assert (answer.status_code, answer.headers["content-type"], answer.content[:6]) == (200, "image/gif", b"GIF89a")
        assert answer.headers["cache-control"] == "no-store, private"
    await server.until(lambda: "opened" in server.status(sent).get("marks", {}), "known to be shown")
    assert set(server.status(sent)["marks"]) == {"opened"}
    assert "marks" not in server.status(other)
    assert server.call("inbox_counts", user="reader")["unseen"] == 2, "fetched is less than seen"


async def test_an_ack_on_the_socket_ends_the_journey(server, wire):
    server.call("device_register", user="here", provider="fcm", token="here-phone")
    client = await wire(server, "here")
    sent = server.notify("here", title="Seen", ack_wait_s=30, data={"n": 1})
    push = await client.until(lambda message: "notification" in str(message.get("push", {}).get("pub", "")))
    notification = push["push"]["pub"]["data"]["notification"]
    assert push["push"]["channel"] == "#here"
    assert notification == {"id": sent, "title": "Seen", "priority": "normal", "data": {"n": 1}}
    await client.send({"id": 5, "rpc": {"method": "notification.ack", "data": {"id": sent}}})
    assert "rpc" in await client.until(lambda message: message.get("id") == 5)
    status = server.status(sent)
    assert status["state"] == "acknowledged"
    assert server.outbox(sent) == []


async def test_silence_on_the_socket_goes_on_to_the_phone(server, wire):
    server.call("device_register", user="silent", provider="fcm", token="silent-phone")
    await wire(server, "silent")
    sent = server.notify("silent", title="Anybody?", ack_wait_s=0.2, push_wait_s=0)
    status = await server.settled(sent)
    assert [step[2] for step in outcomes(status)] == ["published", "accepted"]
    assert [item["provider"] for item in server.outbox(sent)] == ["fcm"]


async def test_an_ack_between_push_and_mail_spares_the_mail(server):
    server.call("device_register", user="late", provider="fcm", token="late-phone")
    server.call("device_register", user="late", provider="email", token=email_of("late"))
    sent = server.notify("late", title="Tap", push_wait_s=60)
    await server.until(lambda: len(server.outbox(sent)) == 1, "pushed")
    assert server.error("notification_ack", id=sent, user="somebody else")["code"] == 104
    server.call("notification_ack", id=sent, user="late")
    server.call("notification_ack", id=sent, user="late")
    assert server.status(sent)["state"] == "acknowledged"
    assert [item["provider"] for item in server.outbox(sent)] == ["fcm"]


async def test_an_unregistered_device_is_removed_and_mail_follows(server):
    server.call("device_register", user="gone", provider="fcm", token="unregistered-gone")
    server.call("device_register", user="gone", provider="email", token=email_of("gone"))
    sent = server.notify("gone", title="Hello", push_wait_s=60)
    status = await server.settled(sent)
    assert [step[2] for step in outcomes(status)] == ["offline", "unregistered", "accepted"]
    assert [item["provider"] for item in server.call("device_list", user="gone")["items"]] == ["email"]


async def test_a_busy_provider_is_tried_again(server):
    server.call("device_register", user="busy", provider="fcm", token="busy-phone-1")
    sent = server.notify("busy", title="Hello", push_wait_s=0)
    status = await server.settled(sent)
    assert [step[2] for step in outcomes(status)] == ["offline", "retry", "accepted"]


async def test_a_refused_message_goes_on_to_the_next_route(server):
    server.call("device_register", user="refused", provider="apns", token="bad0" + "1" * 60)
    server.call("device_register", user="refused", provider="email", token=email_of("re"))
    sent = server.notify("refused", title="Hello", push_wait_s=60)
    status = await server.settled(sent)
    assert [step[2] for step in outcomes(status)] == ["offline", "refused", "accepted"]


async def test_no_address_is_failed_and_a_muted_route_is_passed_over(server):
    assert (await server.settled(server.notify("nobody", title="Hello")))["state"] == "failed"
    server.call("device_register", user="muted", provider="email", token=email_of("muted"))
    words = [{"category": "news", "route": "email", "enabled": False}]
    server.call("preferences_set", user="muted", preferences=words)
    status = await server.settled(server.notify("muted", title="Hello", category="news"))
    assert status["state"] == "failed"
    assert ("email", "", "muted") in outcomes(status)
    assert (await server.settled(server.notify("muted", title="Hello", category="alarm")))["state"] == "exhausted"


async def test_cancel_and_expiry(server):
    server.call("device_register", user="off", provider="fcm", token="off-phone")
    server.call("device_register", user="off", provider="email", token=email_of("off"))
    sent = server.notify("off", title="Hello", push_wait_s=60)
    await server.until(lambda: len(server.outbox(sent)) == 1, "pushed")
    server.call("notification_cancel", id=sent)
    assert server.status(sent)["state"] == "cancelled"
    server.call("notification_ack", id=sent, user="off")
    assert server.status(sent)["state"] == "cancelled"
    expired = server.notify("off", title="Hello", push_wait_s=60, ttl_s=0.5)
    assert (await server.settled(expired))["state"] == "expired"


async def test_a_thousand_users_in_one_request_with_an_idempotency_key(server):
    users = [f"many-{number}" for number in range(1000)]
    body = {"users": users, "title": "Hello", "routes": ["live"], "idempotency_key": "once"}
    first, second = server.call("notify", **body), server.call("notify", **body)
    assert first == second
    assert [item["user"] for item in first["notifications"]] == users
    assert server.error("notify", **{**body, "title": "Other"})["message"].startswith("bad request: idempotency_key")
    await asyncio.gather(*(server.settled(item["id"]) for item in first["notifications"][::250]))
