import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import Manifest
from service.challenger import Challenger, is_canary
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
            settings = Settings.model_validate({"challenger_version": 2, "canary_share": canary_share})
            challenger = Challenger(live_model(manifest, version=2, plus=0.5), settings, Metrics())
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
        settings = Settings.model_validate({"challenger_version": 2, "canary_share": 0.5})
        champion = live_model(manifest, version=1)
        challenger = Challenger(live_model(manifest, version=2, plus=0.5), settings, metrics)
        asked = histories([(f"INC{number}", 1 + number % 8) for number in range(16)])
        with Pair(champion, challenger) as pair:
            await pair.score(asked, champion.encode(asked.event_types, asked.elapsed_minutes), None)
        await asyncio.to_thread(wait_for, lambda: not math.isnan(challenger.agreement.rank_correlation()))

    asyncio.run(answer())

    num_compared = metrics.registry.get_sample_value("seqrisk_challenger_risk_difference_count")
    assert num_compared == sum(not is_canary(f"INC{number}", 0.5) for number in range(16))


def test_both_versions_are_held_until_the_end(manifest: Manifest) -> None:
    async def drain_meanwhile() -> list[bool]:
        champion = live_model(manifest, version=1)
        settings = Settings.model_validate({"challenger_version": 2, "canary_share": 0.5})
        challenger = Challenger(live_model(manifest, version=2), settings, Metrics())
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
