"""When certificates end that a process shows to others."""

from heliograph.expiries import Expiries


def test_that_for_the_engine_is_told_read_again_when_it_changes_and_left_out_while_it_cannot_be(authority):
    file, _ = authority.issue("first")
    expiries = Expiries(None, str(file))
    expiries.others.append(lambda: [("apns", 7.0)])
    (name, first), other = expiries.look()
    assert (name, other) == ("broker", ("apns", 7.0))
    authority.issue("later", days=5)[0].replace(file)
    (_, later), _ = expiries.look()
    assert later > first
    file.write_text("nothing")
    assert expiries.look() == [("apns", 7.0)]
    file.unlink()
    assert expiries.look() == [("apns", 7.0)]


def test_without_certificates_nothing_is_told():
    assert Expiries(None, "").look() == []
