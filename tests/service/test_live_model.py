import asyncio
import gc
import weakref
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from models.manifest import Manifest
from service.errors import OverloadedError
from service.live_model import LiveModel
from tests.service.live_models import live_model


@pytest.fixture(scope="module")
def manifest(repository: Path) -> Manifest:
    return Manifest.read(repository / "tiny" / "1" / "manifest.json")


def histories(*lengths: int) -> tuple[list[tuple[str, ...]], list[tuple[float, ...]]]:
    return [("New/P3",) * length for length in lengths], [(0.0,) * length for length in lengths]


def test_the_calling_thread_gets_the_risks_of_any_number_of_sequences_in_order(manifest: Manifest) -> None:
    model = live_model(manifest, version=1)
    lengths = [1, 8, 3, 4, 5, 2, 7, 12, 1]

    risks = model.risks(model.encode(*histories(*lengths)))

    np.testing.assert_allclose(risks, np.minimum(lengths, manifest.max_events) / 100, rtol=1e-6)


def test_whoever_holds_it_is_not_refused_while_it_is_drained(manifest: Manifest) -> None:
    async def score_late() -> tuple[bool, float]:
        model = live_model(manifest, version=1)
        with model:
            drained = asyncio.create_task(model.drain())
            await asyncio.sleep(0.01)
            is_early = drained.done()
            scores = await model.score(model.encode(*histories(3)), None)
        await drained
        with pytest.raises(OverloadedError):
            await model.score(model.encode(*histories(3)), None)
        return is_early, float(scores.risk[0])

    is_early, risk = asyncio.run(score_late())

    assert not is_early
    assert risk == pytest.approx(0.03)


def test_it_is_drained_when_the_last_of_several_lets_go(manifest: Manifest) -> None:
    async def let_go_one_by_one() -> list[bool]:
        model = live_model(manifest, version=1)
        model.__enter__()
        model.__enter__()
        drained = asyncio.create_task(model.drain())
        states = []
        for _ in range(2):
            await asyncio.sleep(0.01)
            states.append(drained.done())
            model.__exit__()
        await drained
        return states

    assert asyncio.run(let_go_one_by_one()) == [False, False]


def test_says_how_many_sequences_wait(manifest: Manifest) -> None:
    may_go_on = Event()

    async def wait_behind_a_call() -> list[int]:
        model = live_model(manifest, version=1, before=may_go_on.wait)
        first = asyncio.create_task(model.score(model.encode(*histories(1)), None))
        await asyncio.sleep(0.05)
        behind = asyncio.create_task(model.score(model.encode(*histories(1, 2)), None))
        await asyncio.sleep(0.05)
        waiting = [model.num_waiting]
        may_go_on.set()
        await asyncio.gather(first, behind)
        await model.drain()
        return [*waiting, model.num_waiting]

    assert asyncio.run(wait_behind_a_call()) == [2, 0]


def test_its_memory_goes_with_its_last_user_and_needs_no_collector(manifest: Manifest) -> None:
    async def use_and_drain() -> weakref.ref[LiveModel]:
        model = live_model(manifest, version=1)
        with model:
            await model.score(model.encode(*histories(3)), None)
        await model.drain()
        return weakref.ref(model)

    gc.disable()
    try:
        assert asyncio.run(use_and_drain())() is None
    finally:
        gc.enable()
