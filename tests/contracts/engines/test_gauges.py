"""What an engine tells of itself has the same names before and after, and never names a channel or a user."""


async def test_gauges_are_counts_by_fixed_names(engine):
    before = engine.gauges()
    await engine.pubsub.subscribe("news")
    after = engine.gauges()
    assert before.keys() == after.keys()
    assert all(isinstance(count, int) and count >= 0 for count in after.values())
    assert after["topics"] == before["topics"] + 1
    assert "news" not in after
