from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.further_inputs import FurtherInput
from models.manifest import GoldenExample, Manifest
from models.sequences import Vocabulary
from service.buckets import Buckets
from service.golden import GoldenExampleError, verify

BUCKETS = Buckets(times=(2, 8), batches=(1, 4))


def mean_id(
    event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A model whose answers are easy to foretell: hundredths of the mean event id, and of the first elapsed time."""
    risk = event_ids.sum(axis=1) / (event_ids > 0).sum(axis=1) / 100
    return risk.astype(np.float32), elapsed_minutes[:, 0] / np.float32(100)


@pytest.fixture
def manifest(repository: Path) -> Manifest:
    published = Manifest.read(repository / "tiny" / "1" / "manifest.json")
    examples = (
        GoldenExample(
            event_types=("Opened/Phone", "New/P3"), elapsed_minutes=(30.0, 0.0), risk=0.025, auxiliary_risk=0.3
        ),
        GoldenExample(
            event_types=("7", "7", "never seen"), elapsed_minutes=(9.0, 8.0, 0.0), risk=0.11 / 3, auxiliary_risk=0.09
        ),
        GoldenExample(event_types=("New/P3",) * 12, elapsed_minutes=(50.0,) * 12, risk=0.03, auxiliary_risk=0.5),
    )
    return published.model_copy(update={"golden_examples": examples})


def test_right_answers_pass_in_every_bucket(manifest: Manifest) -> None:
    shapes: set[tuple[int, ...]] = set()

    def observed(
        event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        shapes.add(event_ids.shape)
        assert event_ids.any(axis=1).all()
        return mean_id(event_ids, elapsed_minutes)

    verify(observed, manifest, Vocabulary(manifest.vocabulary), BUCKETS)

    assert shapes == set(BUCKETS.shapes)


@pytest.mark.parametrize("output", ["risk", "auxiliary_risk"])
@pytest.mark.parametrize("wrong", [1e-4, np.nan])
def test_a_wrong_answer_in_one_bucket_names_the_output_the_example_and_the_bucket(
    manifest: Manifest, output: str, wrong: float
) -> None:
    def wrong_once(
        event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        answers = dict(zip(("risk", "auxiliary_risk"), mean_id(event_ids, elapsed_minutes), strict=True))
        if event_ids.shape == (4, 8):
            answers[output][1] += wrong
        return answers["risk"], answers["auxiliary_risk"]

    with pytest.raises(
        GoldenExampleError,
        match=rf"Expected {output} 0\.\d+, .* golden example 2 of tiny version 1.* bucket of 4 sequences of 8",
    ):
        verify(wrong_once, manifest, Vocabulary(manifest.vocabulary), BUCKETS)


@pytest.mark.parametrize("wrong_time", [1, 4])
def test_a_bucket_shorter_than_every_example_must_answer_like_the_longest(manifest: Manifest, wrong_time: int) -> None:
    buckets = Buckets(times=(1, 4, 8), batches=(1, 4))
    longest = manifest.model_copy(update={"golden_examples": manifest.golden_examples[2:]})

    def wrong_in_short_buckets(
        event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        risk, auxiliary_risk = mean_id(event_ids, elapsed_minutes)
        return risk + np.float32(0.01 * (event_ids.shape == (4, wrong_time))), auxiliary_risk

    verify(mean_id, longest, Vocabulary(manifest.vocabulary), buckets)
    with pytest.raises(GoldenExampleError, match=f"latest {wrong_time} events of golden example 1 .* bucket of 4"):
        verify(wrong_in_short_buckets, longest, Vocabulary(manifest.vocabulary), buckets)


def test_a_difference_within_the_tolerance_passes(manifest: Manifest) -> None:
    def nearly(
        event_ids: NDArray[np.int32], elapsed_minutes: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        risk, auxiliary_risk = mean_id(event_ids, elapsed_minutes)
        return risk + np.float32(0.5 * manifest.golden_tolerance), auxiliary_risk

    verify(nearly, manifest, Vocabulary(manifest.vocabulary), BUCKETS)


def test_examples_are_scored_with_their_further_inputs(manifest: Manifest) -> None:
    inputs = (
        FurtherInput(name="amount", kind="numeric", per="event", unit=None, default=None),
        FurtherInput(name="zone", kind="categorical", per="sequence", unit=None, default=None, categories=("a",)),
    )
    examples = [
        example.model_copy(update={"further": {"amount": tuple(range(len(example.event_types))), "zone": "a"}})
        for example in manifest.golden_examples
    ]
    told = manifest.model_copy(update={"further_inputs": inputs, "golden_examples": tuple(examples)})
    seen: list[tuple[float, int]] = []

    def observed(*arrays: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        event_ids, elapsed_minutes, amounts, zones = arrays
        seen.extend(zip(amounts.max(axis=1).tolist(), zones.tolist(), strict=True))
        return mean_id(event_ids, elapsed_minutes)

    verify(observed, told, Vocabulary(told.vocabulary), BUCKETS)

    # The longest example is cut to its latest events, with their amounts.
    assert {amount for amount, _ in seen} == {1, 2, 11}
    assert {zone for _, zone in seen} == {2}
