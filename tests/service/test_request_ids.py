import pytest

from service.request_ids import RequestIds


def test_a_request_keeps_its_own_name() -> None:
    assert RequestIds().of([(b"accept", b"*/*"), (b"x-request-id", b"INC-1")]) == b"INC-1"


@pytest.mark.parametrize("given", [b"", b"two words", b"\xe9", b"x" * 129])
def test_a_name_that_would_not_fit_a_line_is_replaced(given: bytes) -> None:
    assert RequestIds().of([(b"x-request-id", given)]) not in {b"", given}


def test_new_names_differ_within_a_process_and_between_two() -> None:
    ids = [RequestIds(), RequestIds()]

    assert len({one.of([]) for one in ids for _ in range(3)}) == 6
