"""Killed in the middle and started again: every notification ends, and nothing whose ack was recorded is sent."""

USERS = 300


async def test_killed_in_the_middle_of_hundreds_of_notifications(start_server):
    server = start_server("--dev")
    users = [f"user-{number}" for number in range(USERS)]
    for user in users[::2]:
        server.call("device_register", user=user, provider="fcm", token=f"{user}-phone")
    for user in users[1::2]:
        server.call("device_register", user=user, provider="email", token=f"{user}@example.com")
    accepted = []
    for start in range(0, USERS, 100):
        body = {"users": users[start : start + 100], "title": "Hello", "push_wait_s": 2}
        accepted += server.call("notify", **body)["notifications"]
    acked = [item for item in accepted if item["user"].endswith("4")]
    for item in acked:
        server.call("notification_ack", id=item["id"], user=item["user"])
    server.kill()

    again = start_server("--dev")
    assert again.api_key == server.api_key

    def pending():
        return [item for item in accepted if again.status(item["id"])["state"] == "pending"]

    await again.until(lambda: not pending(), "everything has ended")
    states = {item["id"]: again.status(item["id"])["state"] for item in accepted}
    assert {states[item["id"]] for item in acked} == {"acknowledged"}
    assert set(states.values()) == {"acknowledged", "exhausted"}
    sent_again = {item["notification_id"] for item in again.outbox()}
    assert not sent_again & {item["id"] for item in acked}
