import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from time import monotonic

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.sequences import FIRST_EVENT_TYPE_ID, EncodedBatch
from service.batcher import Batcher, Scores
from service.buckets import Buckets
from service.call import BatchReport
from service.errors import DeadlineExceededError, ModelFaultError, OverloadedError

BUCKETS = Buckets(times=(4, 8, 16), batches=(1, 4, 8))
PRIME = 9_973

Answer = tuple[NDArray[np.float32], NDArray[np.float32]]


def hashed(event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32]) -> Answer:
    """A score that tells every row from every other, whatever it is padded to."""
    weights = np.arange(1, event_ids.shape[1] + 1)
    risk = (event_ids.astype(np.int64) * weights).sum(axis=1) % PRIME
    auxiliary_risk = (risk + (elapsed_minutes.astype(np.int64) * weights).sum(axis=1)) % PRIME
    return (risk / PRIME).astype(np.float32), (auxiliary_risk / PRIME).astype(np.float32)


class Model:
    """Scores by `hashed`; tells who reached it, and waits inside a call while its gate is shut.

    A row is known by its first event id, which `Sequences` never gives twice.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.shapes: list[tuple[int, ...]] = []
        self.threads: set[str] = set()
        self.rows: list[list[int]] = []
        self.answer: Callable[[NDArray[np.int32], Answer], Answer] = lambda _, answer: answer

    def __call__(self, event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32]) -> Answer:
        self.shapes.append(event_ids.shape)
        self.threads.add(threading.current_thread().name)
        self.rows.append([row for row in event_ids[:, 0].tolist() if row >= FIRST_EVENT_TYPE_ID])
        self.entered.release()
        assert self.gate.wait(60)
        assert event_ids[:, 0].all()
        assert elapsed_minutes.shape == event_ids.shape
        return self.answer(event_ids, hashed(event_ids, elapsed_minutes))

    async def has_entered(self, calls: int = 1) -> None:
        for _ in range(calls):
            assert await asyncio.to_thread(self.entered.acquire, timeout=60)

    @property
    def reached(self) -> list[int]:
        return [row for rows in self.rows for row in rows]


class Sequences:
    """Makes sequences of given lengths, no two of them alike."""

    def __init__(self) -> None:
        self.next_row = FIRST_EVENT_TYPE_ID

    def __call__(self, *lengths: int) -> EncodedBatch:
        events_used = np.array(lengths, np.int32)
        occupied = np.arange(max(lengths, default=0)) < events_used[:, None]
        event_ids = np.where(occupied, 1 + (np.arange(occupied.shape[1]) * 7) % 50, 0).astype(np.int32)
        if lengths:
            event_ids[:, 0] = np.arange(self.next_row, self.next_row + len(lengths))
        self.next_row += len(lengths)
        elapsed_minutes = np.where(occupied, event_ids % 97, 0).astype(np.float32)
        nothing = np.zeros_like(events_used)
        return EncodedBatch(event_ids, elapsed_minutes, events_used, nothing, nothing)


def first_ids(batch: EncodedBatch) -> list[int]:
    return [int(row) for row in batch.event_ids[:, 0]]


def assert_right(scores: Scores, batch: EncodedBatch) -> None:
    risk, auxiliary_risk = hashed(batch.event_ids, batch.elapsed_minutes)
    assert scores.risk.tolist() == risk.tolist()
    assert scores.auxiliary_risk.tolist() == auxiliary_risk.tolist()


@asynccontextmanager
async def serving(
    model: Model,
    *,
    slots: int = 1,
    max_waiting_sequences: int = 10_000,
    quick_rows: tuple[int, ...] = (),
    observe: Callable[[BatchReport], None] = lambda _: None,
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        model,
        buckets=BUCKETS,
        slots=slots,
        max_waiting_sequences=max_waiting_sequences,
        quick_rows=quick_rows,
        observe=observe,
    )
    try:
        yield batcher
    finally:
        model.gate.set()
        await batcher.drain()


async def started(scoring: Coroutine[None, None, Scores]) -> "asyncio.Task[Scores]":
    """The task of `scoring`, once it stands in the line."""
    task = asyncio.create_task(scoring)
    await asyncio.sleep(0)
    return task


async def occupied(model: Model, batcher: Batcher, sequences: Sequences) -> "asyncio.Task[Scores]":
    """Shut the gate and put one sequence behind it, so that a slot is busy until the gate opens."""
    model.gate.clear()
    task = await started(batcher.score(sequences(1)))
    await model.has_entered()
    return task


def test_an_idle_slot_runs_a_request_at_once_and_alone() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model, slots=2) as batcher:
            first = await occupied(model, batcher, sequences)
            second = await started(batcher.score(sequences(7)))
            await model.has_entered()

            assert model.shapes == [(1, 4), (1, 8)]
            assert (batcher.num_waiting, first.done(), second.done()) == (0, False, False)

    asyncio.run(scenario())


QUICK_ROWS = (8, 4, 0)
HERE, SLOT = threading.main_thread().name, "slot-0"


def test_the_event_loop_runs_what_is_quick_in_one_call() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model, quick_rows=QUICK_ROWS) as batcher:
            batches = [sequences(length) for length in (3, 7, 1)]
            answers = await asyncio.gather(*(batcher.score(batch) for batch in batches))

        for scores, batch in zip(answers, batches, strict=True):
            assert_right(scores, batch)
        assert (model.threads, model.shapes) == ({HERE}, [(4, 8)])

    asyncio.run(scenario())


@pytest.mark.parametrize("lengths", [(9,), (7,) * 5, (1,) * 9])
def test_what_is_too_long_or_too_much_to_be_quick_goes_to_a_slot(lengths: tuple[int, ...]) -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model, quick_rows=QUICK_ROWS) as batcher:
            batch = sequences(*lengths)
            assert_right(await batcher.score(batch), batch)

        assert model.threads == {SLOT}

    asyncio.run(scenario())


def test_quick_requests_gather_while_more_of_them_are_being_read() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model, quick_rows=QUICK_ROWS) as batcher:

            async def read_and_score(rounds: int) -> None:
                for _ in range(rounds):
                    await asyncio.sleep(0)
                await batcher.score(sequences(2))

            await asyncio.gather(*(read_and_score(rounds) for rounds in (2, 1, 0)))

        assert model.shapes == [(4, 4)]

    asyncio.run(scenario())


def test_a_quick_call_that_fails_fails_the_guilty_alone() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        good, bad = sequences(2), sequences(3)
        (guilty,) = first_ids(bad)

        def answer(event_ids: NDArray[np.int32], right: Answer) -> Answer:
            if guilty in event_ids[:, 0]:
                raise RuntimeError("no")
            return right

        model.answer = answer
        async with serving(model, quick_rows=QUICK_ROWS) as batcher:
            scores, fault = await asyncio.gather(batcher.score(good), batcher.score(bad), return_exceptions=True)

        assert isinstance(scores, Scores)
        assert_right(scores, good)
        assert isinstance(fault, ModelFaultError)
        assert model.threads == {HERE}

    asyncio.run(scenario())


def test_what_waits_for_the_event_loop_is_answered_when_the_batcher_is_drained() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model, quick_rows=QUICK_ROWS) as batcher:
            batch = sequences(2)
            scoring = await started(batcher.score(batch))
            await batcher.drain()
            assert_right(await scoring, batch)

    asyncio.run(scenario())


def test_requests_that_come_while_every_slot_is_busy_leave_together() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model) as batcher:
            await occupied(model, batcher, sequences)
            batches = [sequences(3) for _ in range(5)]
            tasks = [await started(batcher.score(batch)) for batch in batches]
            assert batcher.num_waiting == 5

            model.gate.set()
            for task, batch in zip(tasks, batches, strict=True):
                assert_right(await task, batch)

            assert model.shapes == [(1, 4), (8, 4)]

    asyncio.run(scenario())


def test_a_large_request_is_spread_over_idle_slots() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        model.gate.clear()
        async with serving(model, slots=3) as batcher:
            batch = sequences(*[3] * 80)
            task = await started(batcher.score(batch))
            await model.has_entered(3)
            model.gate.set()

            assert_right(await task, batch)

    asyncio.run(scenario())


def test_answers_come_in_the_order_of_the_rows_whatever_their_lengths() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model, slots=2) as batcher:
            batch = sequences(*[1, 16, 5, 4, 9, 2, 8] * 9)

            assert_right(await batcher.score(batch), batch)

            assert sorted(model.reached) == first_ids(batch)

    asyncio.run(scenario())


def test_a_small_request_is_answered_before_a_huge_one_that_came_first() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model) as batcher:
            await occupied(model, batcher, sequences)
            finished: list[str] = []
            huge = await started(batcher.score(sequences(*[3] * 500)))
            small = await started(batcher.score(sequences(3)))
            huge.add_done_callback(lambda _: finished.append("huge"))
            small.add_done_callback(lambda _: finished.append("small"))
            model.gate.set()
            await asyncio.gather(huge, small)

            assert finished == ["small", "huge"]

    asyncio.run(scenario())


def test_a_request_without_sequences_needs_no_model() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model) as batcher:
            assert len((await batcher.score(sequences())).risk) == 0
            assert model.shapes == []

    asyncio.run(scenario())


def test_a_request_beyond_the_bound_is_refused_and_leaves_no_trace() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model, max_waiting_sequences=10) as batcher:
            await occupied(model, batcher, sequences)
            accepted = sequences(*[3] * 7)
            waiting = await started(batcher.score(accepted))
            refused = sequences(*[3] * 4)
            with pytest.raises(OverloadedError, match="at most 10 sequences to wait") as refusal:
                await batcher.score(refused)
            assert refusal.value.reason == "waiting_sequences"
            assert batcher.num_waiting == 7
            fitting = sequences(*[3] * 3)
            last = await started(batcher.score(fitting))
            assert batcher.num_waiting == 10

            model.gate.set()
            assert_right(await waiting, accepted)
            assert_right(await last, fitting)
            assert not set(first_ids(refused)) & set(model.reached)

    asyncio.run(scenario())


def test_a_waiting_request_is_answered_at_its_deadline_and_never_reaches_the_model() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model) as batcher:
            busy = await occupied(model, batcher, sequences)
            late = sequences(3, 9)
            with pytest.raises(DeadlineExceededError):
                await batcher.score(late, deadline=monotonic() + 0.01)
            assert (batcher.num_waiting, busy.done()) == (0, False)

            model.gate.set()
            await busy
            await batcher.drain()
            assert not set(first_ids(late)) & set(model.reached)

    asyncio.run(scenario())


def test_a_running_request_is_answered_at_its_deadline() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        model.gate.clear()
        async with serving(model) as batcher:
            with pytest.raises(DeadlineExceededError):
                await batcher.score(sequences(3), deadline=monotonic() + 0.01)
            assert not model.gate.is_set()

            model.gate.set()
            batch = sequences(3)
            assert_right(await batcher.score(batch), batch)

    asyncio.run(scenario())


def test_a_slot_skips_what_is_too_late_even_before_the_event_loop_says_so() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model) as batcher:
            busy = await occupied(model, batcher, sequences)
            deadline = monotonic() + 0.02
            late = await started(batcher.score(sequences(3), deadline))
            alive_batch = sequences(3)
            alive = await started(batcher.score(alive_batch))
            while monotonic() <= deadline:
                pass  # the event loop is kept busy: no timer can fire
            model.gate.set()
            assert model.entered.acquire(timeout=60)

            assert model.rows[1:] == [first_ids(alive_batch)]
            assert_right(await alive, alive_batch)
            with pytest.raises(DeadlineExceededError):
                await late
            await busy

    asyncio.run(scenario())


def test_a_request_that_comes_too_late_is_not_even_put_in_the_line() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model) as batcher:
            with pytest.raises(DeadlineExceededError):
                await batcher.score(sequences(3), deadline=monotonic())
            assert model.shapes == []

    asyncio.run(scenario())


def test_a_cancelled_request_leaves_the_line() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model) as batcher:
            await occupied(model, batcher, sequences)
            abandoned, kept = sequences(3, 9, 3), sequences(3)
            leaving, staying = await started(batcher.score(abandoned)), await started(batcher.score(kept))
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            assert batcher.num_waiting == 1

            model.gate.set()
            assert_right(await staying, kept)
            assert not set(first_ids(abandoned)) & set(model.reached)

    asyncio.run(scenario())


def test_a_request_that_fails_the_model_fails_alone() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        reports: list[BatchReport] = []
        async with serving(model, observe=reports.append) as batcher:
            await occupied(model, batcher, sequences)
            batches = [sequences(3), sequences(2, 4), sequences(1)]
            poison = first_ids(batches[1])[1]

            def raise_on_poison(event_ids: NDArray[np.int32], answer: Answer) -> Answer:
                if poison in event_ids[:, 0]:
                    raise ArithmeticError("poisoned")
                return answer

            model.answer = raise_on_poison
            tasks = [await started(batcher.score(batch)) for batch in batches]
            model.gate.set()
            healthy, poisoned, last = await asyncio.gather(*tasks, return_exceptions=True)

            each = [first_ids(batch) for batch in batches]
            assert isinstance(healthy, Scores)
            assert isinstance(last, Scores)
            assert_right(healthy, batches[0])
            assert_right(last, batches[2])
            assert isinstance(poisoned, ModelFaultError)
            assert isinstance(poisoned.__cause__, ArithmeticError)
            assert model.rows[1:] == [list(chain(*each)), *each]
            assert [report.failed for report in reports] == [False, True, False, True, False]

    asyncio.run(scenario())


def test_a_failure_that_does_not_come_back_is_nobodys() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model) as batcher:
            await occupied(model, batcher, sequences)
            batches = [sequences(3), sequences(2, 4)]

            def raise_together(_: NDArray[np.int32], answer: Answer) -> Answer:
                if len(model.rows[-1]) == 3:
                    raise ArithmeticError("together")
                return answer

            model.answer = raise_together
            tasks = [await started(batcher.score(batch)) for batch in batches]
            model.gate.set()

            for task, batch in zip(tasks, batches, strict=True):
                assert_right(await task, batch)
            assert [len(rows) for rows in model.rows] == [1, 3, 1, 2]

    asyncio.run(scenario())


def test_the_rest_of_a_failed_request_never_reaches_the_model() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()

        def fail(_: NDArray[np.int32], __: Answer) -> Answer:
            raise ArithmeticError("always")

        model.answer = fail
        async with serving(model) as batcher:
            with pytest.raises(ModelFaultError):
                await batcher.score(sequences(*[3] * 100))
            assert batcher.num_waiting == 0
            await batcher.drain()

            assert len(model.shapes) == 1

    asyncio.run(scenario())


def test_a_row_without_a_probability_fails_only_its_own_request() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model) as batcher:
            await occupied(model, batcher, sequences)
            batches = [sequences(3, 3), sequences(2), sequences(1)]

            def forget_one(event_ids: NDArray[np.int32], answer: Answer) -> Answer:
                answer[1][event_ids[:, 0] == first_ids(batches[1])[0]] = np.nan
                return answer

            model.answer = forget_one
            tasks = [await started(batcher.score(batch)) for batch in batches]
            model.gate.set()

            assert_right(await tasks[0], batches[0])
            with pytest.raises(ModelFaultError):
                await tasks[1]
            assert_right(await tasks[2], batches[2])

    asyncio.run(scenario())


def test_an_answer_of_another_shape_is_a_fault_of_the_model() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        model.answer = lambda _, answer: (answer[0][:-1], answer[1])
        async with serving(model) as batcher:
            with pytest.raises(ModelFaultError):
                await batcher.score(sequences(3))

    asyncio.run(scenario())


def test_draining_answers_what_was_accepted_and_refuses_the_rest() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        async with serving(model, slots=2) as batcher:
            model.gate.clear()
            batch = sequences(*[3] * 60)
            accepted = await started(batcher.score(batch))
            draining = [asyncio.create_task(batcher.drain()) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(OverloadedError, match="being drained") as refusal:
                await batcher.score(sequences(3))
            assert refusal.value.reason == "draining"
            assert not any(task.done() for task in draining)

            model.gate.set()
            await asyncio.gather(*draining)
            assert accepted.done()
            assert_right(await accepted, batch)

    asyncio.run(scenario())


def test_a_report_tells_what_a_call_was_like() -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        reports: list[BatchReport] = []
        threads: list[threading.Thread] = []

        def observe(report: BatchReport) -> None:
            reports.append(report)
            threads.append(threading.current_thread())

        async with serving(model, observe=observe) as batcher:
            await occupied(model, batcher, sequences)
            task = await started(batcher.score(sequences(3, 7, 5)))
            model.gate.set()
            await task

            report = reports[-1]
            assert (report.rows, report.batch, report.time, report.events) == (3, 4, 8, 15)
            assert report.longest_wait_seconds > 0
            assert report.run_seconds > 0
            assert set(threads) == {threading.current_thread()}

    asyncio.run(scenario())


@dataclass(frozen=True)
class Visit:
    """One request of a random scenario, and what happens to it."""

    lengths: list[int]
    fate: str
    num_pauses: int


VISITS = st.builds(
    Visit,
    lengths=st.lists(st.integers(1, 16), min_size=1, max_size=40),
    fate=st.sampled_from(["", "", "", "", "cancelled", "cancelled later", "late", "poisoned", "no probability"]),
    num_pauses=st.integers(0, 2),
)


@settings(max_examples=150, deadline=None)
@given(visits=st.lists(VISITS, min_size=1, max_size=25), slots=st.integers(1, 3), max_waiting=st.integers(40, 200))
def test_whatever_happens_to_others_each_caller_gets_its_own_scores(
    visits: list[Visit], slots: int, max_waiting: int
) -> None:
    async def scenario() -> None:
        model, sequences = Model(), Sequences()
        batches = [sequences(*visit.lengths) for visit in visits]
        doomed = {
            fate: {first_ids(batch)[-1] for batch, visit in zip(batches, visits, strict=True) if visit.fate == fate}
            for fate in ("poisoned", "no probability")
        }

        def misbehave(event_ids: NDArray[np.int32], answer: Answer) -> Answer:
            assert batcher.num_waiting <= max_waiting
            if doomed["poisoned"].intersection(event_ids[:, 0].tolist()):
                raise ArithmeticError("poisoned")
            answer[0][np.isin(event_ids[:, 0], list(doomed["no probability"]))] = np.nan
            return answer

        async def visit_batcher(visit: Visit, batch: EncodedBatch) -> None:
            deadline = monotonic() + 0.002 if visit.fate == "late" else monotonic() + 60
            task = await started(batcher.score(batch, deadline))
            assert batcher.num_waiting <= max_waiting
            if visit.fate == "cancelled later":
                await asyncio.sleep(0.001)
            if visit.fate.startswith("cancelled"):
                task.cancel()
            outcome = (await asyncio.gather(task, return_exceptions=True))[0]
            reached = set(model.reached) & set(first_ids(batch))
            match outcome:
                case Scores():
                    assert visit.fate not in doomed
                    assert_right(outcome, batch)
                    assert reached == set(first_ids(batch))
                case OverloadedError():
                    assert sum(len(each.lengths) for each in visits) > max_waiting
                    assert not reached
                case DeadlineExceededError():
                    assert visit.fate == "late"
                case asyncio.CancelledError():
                    assert visit.fate.startswith("cancelled")
                case ModelFaultError():
                    assert visit.fate in doomed
                case _:
                    raise AssertionError(outcome)

        model.answer = misbehave
        async with serving(model, slots=slots, max_waiting_sequences=max_waiting) as batcher:
            tasks = []
            for visit, batch in zip(visits, batches, strict=True):
                tasks.append(asyncio.create_task(visit_batcher(visit, batch)))
                for _ in range(visit.num_pauses):
                    await asyncio.sleep(0)
            await asyncio.gather(*tasks)
        assert batcher.num_waiting == 0
        assert set(model.shapes) <= set(BUCKETS.shapes)
        most_calls = max(Counter(model.reached).values(), default=0)
        assert most_calls <= (2 if doomed["poisoned"] else 1)

    asyncio.run(scenario())
