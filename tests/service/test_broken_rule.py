from service.broken_rule import BrokenRuleError


def test_a_broken_rule_says_where_and_what() -> None:
    broken = BrokenRuleError("/events/2", "Expected order.")

    assert (broken.place, broken.message, str(broken)) == ("/events/2", "Expected order.", "Expected order.")


def test_a_message_that_takes_long_is_made_when_it_is_asked_for() -> None:
    broken = BrokenRuleError("/events/2", lambda: "Expected order.")

    assert (broken.message, str(broken)) == ("Expected order.", "Expected order.")
