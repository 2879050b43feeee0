import asyncio
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.sequences import UNKNOWN_ID, EncodedBatch, Vocabulary, encode
from service.buckets import Buckets
from service.call import BatchReport, Call, Request

VOCABULARY = Vocabulary(["login", "pay"])
LOGIN, PAY = 2, 3


def request(*histories: list[str], deadline: float | None = None) -> Request:
    minutes = [list(range(len(history), 0, -1)) for history in histories]

    async def come(batch: EncodedBatch) -> Request:
        return Request.of(batch, now=1.0, deadline=deadline)

    return asyncio.run(come(encode(histories, minutes, VOCABULARY, 4)))


def rows(*numbers: int) -> NDArray[np.intp]:
    return np.array(numbers, np.intp)


def probabilities(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def test_rows_of_several_requests_are_padded_to_the_shape() -> None:
    narrow, wide = request(["pay"]), request(["login"], ["pay", "pay", "login", "login"], ["pay", "login"])

    event_ids, elapsed_minutes = Call({narrow: rows(0), wide: rows(2, 0)}, num_rows=3, batch=4, time=2).arrays()

    assert (event_ids.dtype.name, elapsed_minutes.dtype.name) == ("int32", "float32")
    assert event_ids.tolist() == [[PAY, 0], [PAY, LOGIN], [LOGIN, 0], [UNKNOWN_ID, 0]]
    assert elapsed_minutes.tolist() == [[1, 0], [2, 1], [1, 0], [0, 0]]


def test_further_inputs_go_with_their_rows() -> None:
    narrow, wide = request(["pay"]), request(["login"], ["pay", "pay"])
    for one, amounts, ages in ((narrow, [[1.5]], [7.0]), (wide, [[2, 0], [3, 4]], [8.0, 9.0])):
        further = {
            "amount": np.array(amounts, np.float32),
            "channel": np.array(amounts, np.int32),
            "age": np.array(ages),
        }
        one.batch = replace(one.batch, further=further)

    _, _, amount, channel, age = Call({narrow: rows(0), wide: rows(1, 0)}, num_rows=3, batch=4, time=2).arrays()

    assert amount.tolist() == [[1.5, 0], [3, 4], [2, 0], [0, 0]]
    assert (amount.dtype.name, channel.dtype.name) == ("float32", "int32")
    assert age.tolist() == [7, 9, 8, 0]


def test_events_are_those_of_its_rows() -> None:
    one, other = request(["pay"]), request(["login"], ["pay", "pay", "login"], ["pay", "login"])

    assert Call({one: rows(0), other: rows(2, 1)}, num_rows=3, batch=4, time=4).num_events == 6


def test_answers_go_to_the_rows_that_were_asked_for() -> None:
    first, second = request(["pay"]), request(["login"], ["pay"], ["login"])
    call = Call({first: rows(0), second: rows(2, 0)}, num_rows=3, batch=4, time=1)

    faults = call.deliver(probabilities(0.1, 0.2, 0.3, 0.4), probabilities(0.5, 0.6, 0.7, 0.8))

    assert faults == {}
    assert first.risk == pytest.approx([0.1])
    assert second.risk[[2, 0]] == pytest.approx([0.2, 0.3])
    assert second.auxiliary_risk[[2, 0]] == pytest.approx([0.6, 0.7])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.001, 1.001])
@pytest.mark.parametrize("is_auxiliary", [False, True])
def test_only_the_owner_of_a_row_without_a_probability_is_told(wrong: float, is_auxiliary: bool) -> None:
    healthy, faulty, last = request(["pay"]), request(["login"], ["pay"]), request(["pay"])
    call = Call({healthy: rows(0), faulty: rows(0, 1), last: rows(0)}, num_rows=4, batch=4, time=1)
    answers = [probabilities(0.0, 0.5, 0.5, 1.0), probabilities(0.0, 0.5, 0.5, 1.0)]
    answers[is_auxiliary][2] = wrong

    faults = call.deliver(*answers)

    assert list(faults) == [faulty]
    assert "row 1" in str(faults[faulty])


def test_what_the_model_says_of_padding_rows_does_not_matter() -> None:
    only = request(["pay"])

    faults = Call({only: rows(0)}, num_rows=1, batch=2, time=1).deliver(probabilities(0, np.nan), probabilities(0, 7))

    assert faults == {}


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 1), ()])
def test_an_answer_of_another_shape_is_nobodys(shape: tuple[int, ...]) -> None:
    call = Call({request(["pay"], ["pay"]): rows(0, 1)}, num_rows=2, batch=2, time=1)

    with pytest.raises(ValueError, match=r"Expected two answers of shape \(2,\)"):
        call.deliver(probabilities(0, 0), np.zeros(shape, np.float32))


def test_alone_every_request_gets_a_call_of_its_own_with_the_same_rows() -> None:
    first, second = request(["pay"]), request(["login"], ["pay"], ["login"])
    together = Call({first: rows(0), second: rows(2, 0)}, num_rows=3, batch=4, time=8)

    alone = together.alone(Buckets(times=(4, 8), batches=(1, 2, 4)))

    assert [(call.num_rows, call.batch, call.time) for call in alone] == [(1, 1, 8), (2, 2, 8)]
    assert [call.pieces[owner].tolist() for call, owner in zip(alone, (first, second), strict=True)] == [[0], [2, 0]]


def test_a_request_is_over_once_nobody_waits_for_it() -> None:
    cancelled, failed, timed = request(["pay"]), request(["pay"]), request(["pay"], deadline=5.0)
    assert not any(each.is_over(4.9) for each in (cancelled, failed, timed))

    cancelled.answer.cancel()
    failed.fault = ValueError("no probability")

    assert all(each.is_over(5.0) for each in (cancelled, failed, timed))


def test_a_call_is_over_once_all_its_requests_are() -> None:
    early, late = request(["pay"], deadline=5.0), request(["pay"], deadline=6.0)
    call = Call({early: rows(0), late: rows(0)}, num_rows=2, batch=2, time=1)

    assert (call.is_over(5.5), call.is_over(6.0)) == (False, True)


def test_the_padding_ratio_is_the_share_of_cells_without_an_event() -> None:
    report = BatchReport(rows=3, batch=4, time=8, events=8, longest_wait_seconds=0.0, run_seconds=0.001, failed=False)

    assert report.padding_ratio == pytest.approx(0.75)
