import asyncio
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import Manifest
from models.sequences import EventType
from service.challenger import Challenger, is_canary
from service.errors import OverloadedError
from service.metrics import Metrics
from service.niceness import BESIDE_TRAFFIC
from service.rows import OnDemand
from service.score_request import Histories
from service.settings import Settings
from tests.service.live_models import live_model

SHARES = st.floats(0, 1)
TYPES: list[list[EventType]] = [["New/P3"], ["New/P3", "7", "7"]]
MINUTES = [[0.0], [2.0, 1.0, 0.0]]
HISTORIES = Histories(None, ["a", "b"], TYPES, MINUTES)
ASKED = (HISTORIES, range(2), 4)
RISKS = np.array([0.01, 0.03], np.float32)


@pytest.fixture(scope="module")
def manifest(repository: Path) -> Manifest:
    return Manifest.read(repository / "tiny" / "1" / "manifest.json")


@given(st.text(max_size=20), SHARES, SHARES)
def test_a_canary_of_a_share_is_one_of_every_larger_share(sequence_id: str, share: float, other: float) -> None:
    assert is_canary(sequence_id, min(share, other)) <= is_canary(sequence_id, max(share, other))


@given(st.characters(codec=None) | st.just("\ud800"))
def test_every_id_is_a_canary_of_the_whole_and_none_of_nothing(sequence_id: str) -> None:
    assert is_canary(sequence_id, 1.0)
    assert not is_canary(sequence_id, 0.0)


def test_a_sequence_without_an_id_is_never_a_canary() -> None:
    assert not is_canary(None, 1.0)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("name", ["INC{:07}", "{}", "customer-{}@example.org"])
def test_the_share_of_canaries_is_the_share_asked_for(share: float, name: str) -> None:
    num_ids = 20_000

    num_canaries = sum(is_canary(name.format(number), share) for number in range(num_ids))

    assert abs(num_canaries - share * num_ids) < 4 * math.sqrt(num_ids * share * (1 - share))


def test_an_id_falls_on_the_same_side_in_every_process() -> None:
    sides = "".join(str(int(is_canary(f"INC{number}", 0.5))) for number in range(16))

    assert sides == "1100010001111001"


class Comparison:
    """A champion, a challenger whose risks are 0.6 higher, and what the metrics say about them."""

    def __init__(self, manifest: Manifest, *, before: Callable[[], object] = int, **chosen: float) -> None:
        self.metrics = Metrics()
        self.champion = live_model(manifest, version=1)
        settings = Settings.model_validate({"challenger_version": 2, **chosen})
        self.challenger = Challenger(live_model(manifest, version=2, plus=0.6, before=before), settings, self.metrics)

    def compare(self, times: int = 1) -> None:
        for _ in range(times):
            self.challenger.compare(self.champion, *ASKED, RISKS)

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"seqrisk_challenger_{name}", labels) or 0.0

    def wait_for(self, name: str, value: float, **labels: str) -> None:
        while self.sample(name, **labels) < value:
            time.sleep(0.001)


def test_what_the_champion_answered_is_compared(manifest: Manifest) -> None:
    comparison = Comparison(manifest)

    comparison.compare(times=2)

    comparison.wait_for("bands_total", 4, result="different")
    assert comparison.sample("risk_difference_sum") == pytest.approx(4 * 0.6)
    assert comparison.sample("rank_correlation") == pytest.approx(1.0)


def test_comparing_returns_before_the_challenger_has_scored_and_drops_what_would_wait_long(manifest: Manifest) -> None:
    may_go_on = Event()
    comparison = Comparison(manifest, before=may_go_on.wait)

    comparison.compare(times=200)
    num_dropped = comparison.sample("drops_total")
    num_compared = comparison.sample("bands_total", result="different")
    may_go_on.set()

    assert 100 < num_dropped < 200
    assert num_compared == 0
    comparison.wait_for("bands_total", 2 * (200 - num_dropped), result="different")


def test_what_waits_is_bounded_by_its_events_and_a_request_alone_may_be_of_any_size(manifest: Manifest) -> None:
    may_go_on = Event()
    comparison = Comparison(manifest, before=may_go_on.wait)

    for num_events in (2_000_000, 1):
        comparison.challenger.compare(comparison.champion, HISTORIES, range(2), num_events, RISKS)
    may_go_on.set()

    comparison.wait_for("bands_total", 2, result="different")
    assert comparison.sample("drops_total") == 1
    while comparison.challenger._num_events:
        time.sleep(0.001)
    comparison.compare()
    comparison.wait_for("bands_total", 4, result="different")


def on_demand(make: Callable[[], None]) -> Histories:
    """Histories that came as tensors: `make` is called before each is turned into lists."""

    def types(place: int) -> list[EventType]:
        make()
        return [*TYPES[place]]

    def minutes(place: int) -> list[float]:
        make()
        return MINUTES[place]

    return Histories(None, [None, None], OnDemand(2, types), OnDemand(2, minutes))


@pytest.mark.parametrize("shadow_share", [0.0, 1.0])
def test_tensors_are_made_into_histories_in_its_own_thread_if_at_all(manifest: Manifest, shadow_share: float) -> None:
    threads: set[str] = set()
    comparison = Comparison(manifest, canary_share=1.0, shadow_share=shadow_share)
    asked = on_demand(lambda: threads.add(threading.current_thread().name))

    assert comparison.challenger.canaries(asked) == []
    comparison.challenger.compare(comparison.champion, asked, range(2), 4, RISKS)

    comparison.wait_for("bands_total", 2 * shadow_share, result="different")
    assert threads == ({"challenger"} if shadow_share else set())


def test_canaries_of_many_events_are_encoded_off_the_event_loop(manifest: Manifest) -> None:
    threads: set[threading.Thread] = set()
    comparison = Comparison(manifest, canary_share=1.0)
    asked = on_demand(lambda: threads.add(threading.current_thread()))

    asyncio.run(comparison.challenger.answer(asked, range(2), 100_000, None))

    assert threads
    assert threading.main_thread() not in threads


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a niceness of its own on Linux alone")
def test_comparing_leaves_the_processor_to_those_who_answer(manifest: Manifest) -> None:
    niceness: list[int] = []
    here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    comparison = Comparison(
        manifest, before=lambda: niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    )

    comparison.compare()
    comparison.wait_for("bands_total", 2, result="different")

    assert set(niceness) == {BESIDE_TRAFFIC}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == here


def test_nothing_is_compared_while_sequences_wait_for_the_champion(manifest: Manifest) -> None:
    may_go_on = Event()
    comparison = Comparison(manifest)
    comparison.champion = live_model(manifest, version=1, before=may_go_on.wait)

    async def compare_when_busy() -> None:
        champion = comparison.champion
        waiting = [asyncio.create_task(champion.score(champion.encode(TYPES, MINUTES), None)) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert champion.num_waiting
        comparison.compare()
        may_go_on.set()
        await asyncio.gather(*waiting)

    asyncio.run(compare_when_busy())

    assert comparison.sample("drops_total") == 1


@pytest.mark.parametrize(("share", "lowest", "highest"), [(0.0, 0, 0), (0.5, 20, 80), (1.0, 100, 100)])
def test_a_share_of_requests_is_compared(manifest: Manifest, share: float, lowest: int, highest: int) -> None:
    comparison = Comparison(manifest, shadow_share=share)

    for _ in range(100):
        comparison.compare()
        while comparison.challenger._jobs.qsize():
            time.sleep(0.0001)
    time.sleep(0.05)

    assert lowest <= comparison.sample("bands_total", result="different") / 2 <= highest


def test_a_failing_challenger_is_counted_and_goes_on(manifest: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    faults = iter([RuntimeError("on purpose")])

    def fail_once() -> None:
        for fault in faults:
            raise fault

    comparison = Comparison(manifest, before=fail_once)

    comparison.compare(times=2)

    comparison.wait_for("bands_total", 2, result="different")
    assert comparison.sample("errors_total") == 1
    assert "The challenger failed" in caplog.text


def test_canaries_are_answered_and_counted(manifest: Manifest) -> None:
    comparison = Comparison(manifest, canary_share=1.0)

    batch, scores = asyncio.run(comparison.challenger.answer(*ASKED, None))

    assert comparison.challenger.canaries(HISTORIES) == [0, 1]
    assert batch.events_used.tolist() == [1, 3]
    np.testing.assert_allclose(scores.risk, [0.61, 0.63], rtol=1e-6)
    assert comparison.metrics.registry.get_sample_value("seqrisk_canary_sequences_total") == 2


def test_a_challenger_that_uses_more_events_leaves_histories_alone_that_go_back_too_far(manifest: Manifest) -> None:
    """The champion looks no further back than its own events, so nobody has checked those before them."""
    longest = manifest.max_elapsed_minutes
    far_back = [2 * longest, *[1.0] * (manifest.max_events - 2), 0.0]
    near = [longest, *far_back[1:]]
    comparison = Comparison(manifest, canary_share=1.0)
    comparison.champion = live_model(manifest.model_copy(update={"max_events": manifest.max_events - 1}), version=1)

    asked = Histories(None, ["a", "b"], [["New/P3"] * len(near)] * 2, [far_back, near])
    assert comparison.challenger.canaries(asked) == [1]
    for place in range(2):
        comparison.challenger.compare(comparison.champion, asked, [place], 2 * len(near), RISKS[:1])
    comparison.wait_for("bands_total", 1, result="different")
    assert comparison.sample("drops_total") == 1


def test_a_challenger_that_uses_fewer_events_is_compared_over_all(manifest: Manifest) -> None:
    comparison = Comparison(manifest.model_copy(update={"max_events": 2}), canary_share=1.0)

    comparison.compare()

    comparison.wait_for("bands_total", 2, result="different")
    batch, _ = asyncio.run(comparison.challenger.answer(*ASKED, None))
    assert batch.events_used.tolist() == [1, 2]


def test_nothing_of_it_is_left_after_draining(manifest: Manifest) -> None:
    may_go_on = Event()
    comparison = Comparison(manifest, before=may_go_on.wait)
    comparison.compare(times=50)

    may_go_on.set()
    asyncio.run(comparison.challenger.drain())
    comparison.challenger._thread.join()

    assert math.isnan(comparison.sample("rank_correlation"))
    with pytest.raises(OverloadedError):
        asyncio.run(comparison.challenger.answer(*ASKED, None))
