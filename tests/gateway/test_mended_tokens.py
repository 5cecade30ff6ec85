"""Expiries that tokens set."""


async def test_a_fraction_of_a_second_counts_as_a_whole_one(world):
    world = world()
    world.clock.move(0.5)
    client = world.client()
    result = client.connect(token=world.token(exp=world.now() + 0.9))
    assert (result["expires"], result["ttl"]) == (True, 1)


async def test_in_insecure_mode_a_refresh_sets_no_expiry(world):
    world = world(client={"insecure": True})
    client = world.connected(exp=world.now() + 10)
    (reply,) = client.send({"id": 2, "refresh": {"token": world.token(exp=world.now() + 10)}})
    assert "expires" not in reply["refresh"]
    assert client.session.client.expire_at == 0
