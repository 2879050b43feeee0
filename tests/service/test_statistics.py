from dataclasses import replace

from service.call import BatchReport
from service.statistics import Duration, Statistics

CALL = BatchReport(rows=3, batch=4, time=8, events=9, longest_wait_seconds=0.25, run_seconds=0.5, failed=False)


def test_calls_add_up() -> None:
    statistics = Statistics()

    statistics.observe(CALL)
    statistics.observe(replace(CALL, rows=1))

    assert statistics.num_sequences == 4
    assert statistics.queue == Duration(2, 0.5)
    assert statistics.infer == Duration(2, 1.0)


def test_a_call_that_failed_has_scored_nothing() -> None:
    statistics = Statistics()

    statistics.observe(replace(CALL, failed=True))

    assert statistics == Statistics()
