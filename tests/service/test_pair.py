import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import Manifest
from service.challenger import Challenger, is_canary
from service.errors import OverloadedError
from service.live_model import LiveModel
from service.metrics import Metrics
from service.pair import Pair, Part
from service.score_request import Histories
from service.settings import Settings
from tests.service.live_models import live_model

LENGTHS = st.integers(1, 8)
IDS = st.none() | st.text(max_size=5)


@pytest.fixture(scope="module")
def manifest(repository: Path) -> Manifest:
    return Manifest.read(repository / "tiny" / "1" / "manifest.json")


def histories(sequences: list[tuple[str | None, int]]) -> Histories:
    return Histories(
        model=None,
        ids=[sequence_id for sequence_id, _ in sequences],
        event_types=[["New/P3"] * length for _, length in sequences],
        elapsed_minutes=[[0.0] * length for _, length in sequences],
    )


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def answered(manifest: Manifest, asked: Histories, *, canary_share: float | None) -> list[Part]:
    """By a champion whose risk is the number of events in hundredths, and a challenger that adds 0.5."""

    async def answer() -> list[Part]:
        champion = live_model(manifest, version=1)
        challenger = None
        if canary_share is not None:
            chosen = Settings.model_validate({"challenger_version": 2, "canary_share": canary_share})
            challenger = Challenger(live_model(manifest, version=2, plus=0.5), chosen, Metrics())
        batch = champion.encode(asked.event_types, asked.elapsed_minutes)
        with Pair(champion, challenger) as pair:
            return await pair.score(asked, batch, None)

    return asyncio.run(answer())


@pytest.mark.parametrize("canary_share", [None, 0.0])
def test_without_canaries_the_champion_answers_for_all(manifest: Manifest, canary_share: float | None) -> None:
    (part,) = answered(manifest, histories([("a", 1), (None, 3)]), canary_share=canary_share)

    assert (part.manifest.version, list(part.places)) == (1, [0, 1])
    np.testing.assert_allclose(part.scores.risk, [0.01, 0.03], rtol=1e-6)


def test_a_request_of_canaries_alone_is_the_challengers(manifest: Manifest) -> None:
    (part,) = answered(manifest, histories([("a", 1), ("b", 3)]), canary_share=1.0)

    assert (part.manifest.version, list(part.places)) == (2, [0, 1])
    np.testing.assert_allclose(part.scores.risk, [0.51, 0.53], rtol=1e-6)


@given(sequences=st.lists(st.tuples(IDS, LENGTHS), min_size=1, max_size=8))
def test_each_sequence_has_one_answer_by_the_version_its_id_falls_to(
    manifest: Manifest, sequences: list[tuple[str | None, int]]
) -> None:
    parts = answered(manifest, histories(sequences), canary_share=0.5)

    answers = {
        place: (part.manifest.version, float(risk), int(events))
        for part in parts
        for place, risk, events in zip(part.places, part.scores.risk, part.batch.events_used, strict=True)
    }
    assert sorted(answers) == list(range(len(sequences)))
    for place, (sequence_id, length) in enumerate(sequences):
        is_challengers = is_canary(sequence_id, 0.5)
        version, risk, num_events = answers[place]
        assert (version, num_events) == (1 + is_challengers, length)
        assert risk == pytest.approx(length / 100 + 0.5 * is_challengers, abs=1e-6)


def test_what_the_champion_answered_is_compared_and_canaries_are_not(manifest: Manifest) -> None:
    metrics = Metrics()

    async def answer() -> None:
        chosen = Settings.model_validate({"challenger_version": 2, "canary_share": 0.5})
        champion = live_model(manifest, version=1)
        challenger = Challenger(live_model(manifest, version=2, plus=0.5), chosen, metrics)
        asked = histories([(f"INC{number}", 1 + number % 8) for number in range(16)])
        with Pair(champion, challenger) as pair:
            await pair.score(asked, champion.encode(asked.event_types, asked.elapsed_minutes), None)
        await asyncio.to_thread(wait_for, lambda: not math.isnan(challenger.agreement.rank_correlation()))

    asyncio.run(answer())

    num_compared = metrics.registry.get_sample_value("seqrisk_challenger_risk_difference_count")
    assert num_compared == sum(not is_canary(f"INC{number}", 0.5) for number in range(16))


def fail() -> None:
    raise RuntimeError("on purpose")


def answered_beside(
    manifest: Manifest,
    challenger: LiveModel,
    asked: Histories,
    *,
    seconds: float = 60,
    champion: LiveModel | None = None,
    at_the_end: Callable[[], object] = int,
) -> tuple[list[Part], Metrics]:
    """By a champion whose risk is the number of events in hundredths, and this challenger for half of the ids."""
    metrics = Metrics()
    champion = champion or live_model(manifest, version=1)

    async def answer() -> list[Part]:
        chosen = Settings.model_validate({"challenger_version": 2, "canary_share": 0.5, "shadow_share": 0.0})
        batch = champion.encode(asked.event_types, asked.elapsed_minutes)
        compared = Challenger(challenger, chosen, metrics)
        try:
            with Pair(champion, compared) as pair:
                return await pair.score(asked, batch, time.monotonic() + seconds)
        finally:
            at_the_end()
            await asyncio.gather(champion.drain(), compared.drain())

    return asyncio.run(answer()), metrics


def fallbacks(metrics: Metrics) -> dict[str, float]:
    (family,) = metrics.canary_fallbacks.collect()
    return {sample.labels["code"]: sample.value for sample in family.samples if sample.name.endswith("_total")}


MIXED = histories([(f"INC{number}", 1 + number % 8) for number in range(16)])
NUM_CANARIES = sum(is_canary(sequence_id, 0.5) for sequence_id in MIXED.ids)


@pytest.mark.parametrize(
    ("trouble", "code"),
    [({"before": fail}, "model_fault"), ({"max_waiting_sequences": 0}, "overloaded")],
)
def test_the_champion_answers_for_canaries_whose_challenger_cannot(
    manifest: Manifest, trouble: dict[str, Callable[[], object] | int], code: str
) -> None:
    challenger = live_model(manifest, version=2, plus=0.5, **trouble)  # type: ignore[arg-type]

    (part,), metrics = answered_beside(manifest, challenger, MIXED)

    assert (part.manifest.version, list(part.places)) == (1, list(range(16)))
    np.testing.assert_allclose(part.scores.risk, [(1 + number % 8) / 100 for number in range(16)], rtol=1e-6)
    assert part.batch.events_used.tolist() == [1 + number % 8 for number in range(16)]
    assert fallbacks(metrics) == {code: NUM_CANARIES}
    assert metrics.registry.get_sample_value("seqrisk_canary_sequences_total") == 0


def test_a_request_of_canaries_alone_is_answered_by_the_champion_too(manifest: Manifest) -> None:
    asked = histories([(sequence_id, 3) for sequence_id in MIXED.ids if is_canary(sequence_id, 0.5)])

    (part,), metrics = answered_beside(manifest, live_model(manifest, version=2, before=fail), asked)

    assert part.manifest.version == 1
    np.testing.assert_allclose(part.scores.risk, [0.03] * NUM_CANARIES, rtol=1e-6)
    assert fallbacks(metrics) == {"model_fault": NUM_CANARIES}


def test_a_challenger_that_is_too_slow_leaves_the_champion_time_to_answer(manifest: Manifest) -> None:
    may_go_on = Event()
    challenger = live_model(manifest, version=2, before=may_go_on.wait)

    (part,), metrics = answered_beside(manifest, challenger, MIXED, seconds=2, at_the_end=may_go_on.set)

    assert (part.manifest.version, len(part.places)) == (1, 16)
    assert fallbacks(metrics) == {"deadline_exceeded": NUM_CANARIES}


def test_a_request_fails_where_the_champion_itself_cannot_answer_and_its_canaries_are_not_scored(
    manifest: Manifest,
) -> None:
    scored: list[None] = []
    overloaded = live_model(manifest, version=1, max_waiting_sequences=0)
    challenger = live_model(manifest, version=2, before=lambda: scored.append(None))

    with pytest.raises(OverloadedError):
        answered_beside(manifest, challenger, MIXED, champion=overloaded)

    assert not scored


def test_both_versions_are_held_until_the_end(manifest: Manifest) -> None:
    async def drain_meanwhile() -> list[bool]:
        champion = live_model(manifest, version=1)
        chosen = Settings.model_validate({"challenger_version": 2, "canary_share": 0.5})
        challenger = Challenger(live_model(manifest, version=2), chosen, Metrics())
        asked = histories([(f"INC{number}", 1) for number in range(16)])
        with Pair(champion, challenger) as pair:
            drains = [asyncio.create_task(drain) for drain in (champion.drain(), challenger.drain())]
            await asyncio.sleep(0.01)
            early = [drain.done() for drain in drains]
            parts = await pair.score(asked, champion.encode(asked.event_types, asked.elapsed_minutes), None)
        assert len(parts) == 2
        await asyncio.gather(*drains)
        return early

    assert asyncio.run(drain_meanwhile()) == [False, False]
