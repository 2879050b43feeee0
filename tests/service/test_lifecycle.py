from service.lifecycle import Lifecycle


def test_it_goes_on_until_it_is_stopped() -> None:
    lifecycle = Lifecycle()
    assert not lifecycle.is_stopping

    lifecycle.stop()

    assert lifecycle.is_stopping
