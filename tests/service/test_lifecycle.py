import math

from service.lifecycle import Lifecycle


def test_it_goes_on_until_it_is_stopped() -> None:
    lifecycle = Lifecycle()
    assert not lifecycle.is_stopping

    lifecycle.stop()

    assert lifecycle.is_stopping


def test_what_was_accepted_has_one_limit_whoever_says_it_again() -> None:
    lifecycle = Lifecycle()
    assert lifecycle.left_seconds == math.inf

    lifecycle.close(60)
    lifecycle.close(3600)

    assert lifecycle.closed.is_set()
    assert 0 < lifecycle.left_seconds <= 60


def test_after_the_limit_nothing_is_left() -> None:
    lifecycle = Lifecycle()

    lifecycle.close(0)

    assert lifecycle.left_seconds == 0
