"""What the demo says at its end."""

from plenary.demo.view import View


def test_the_last_line_tells_whether_all_was_as_expected_or_what_was_not():
    view = View("demo")
    view.fact("the server is up", True)
    view.fact("everyone is heard", True)
    assert view.verdict() == "all 2 as expected"
    view.fact("no packet is lost", False)
    assert view.verdict() == "1 of 3 not as expected: no packet is lost"
