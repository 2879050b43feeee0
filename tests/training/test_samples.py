import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from training.bootstrap import Bootstrap
from training.results import MAIN_METRIC
from training.samples import LIFT_SHARES, Histories, sample_figures

NUM_OWNERS, NUM_RESAMPLES = 20, 8

FloatArray = NDArray[np.float64]


def drawn(seed: int, num_seeds: int = 1) -> tuple[Histories, FloatArray]:
    """Histories of a few owners, and risks with many ties."""
    generator = np.random.default_rng(seed)
    number = int(generator.integers(10, 60))
    labels = (generator.permutation(number) % 2).astype(np.float64)
    histories = Histories(labels, generator.integers(1, 4, number), generator.integers(0, NUM_OWNERS, number))
    return histories, np.round(0.3 * labels + 0.7 * generator.random((num_seeds, number)), 1)


def resamples(num_seeds: int = 1) -> Bootstrap:
    return Bootstrap(NUM_OWNERS, num_seeds, NUM_RESAMPLES, seed=1)


def weighted_roc_auc_by_hand(labels: FloatArray, risks: FloatArray, strata: NDArray[np.int64]) -> float:
    within = [strata == stratum for stratum in np.unique(strata)]
    within = [one for one in within if len(set(labels[one])) == 2]
    won = sum(one.sum() * roc_auc_score(labels[one], risks[one]) for one in within)
    return float(won / sum(one.sum() for one in within)) if within else np.nan


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_figures_of_every_resample_are_those_of_its_repeated_histories(seed: int) -> None:
    histories, risks = drawn(seed)
    weights = np.concatenate(list(resamples().weights(len(histories.labels))))

    (sampled,) = sample_figures([(histories, risks)], resamples())

    assert {figures.shape for figures in sampled.by_metric.values()} == {(1 + NUM_RESAMPLES, 1)}
    for row, repeats in enumerate(weights[:, histories.owners]):
        labels, its_risks, strata = (
            np.repeat(array, repeats) for array in (histories.labels, risks[0], histories.strata)
        )
        if len(set(labels)) < 2:
            continue
        expected = {
            MAIN_METRIC: weighted_roc_auc_by_hand(labels, its_risks, strata),
            "roc_auc_pooled": roc_auc_score(labels, its_risks),
            "average_precision": average_precision_score(labels, its_risks),
            "brier": brier_score_loss(labels, its_risks),
        }
        for metric, figure in expected.items():
            assert sampled.by_metric[metric][row, 0] == pytest.approx(figure, nan_ok=True), metric
        for column, stratum in enumerate(sampled.strata):
            one = strata == stratum
            if len(set(labels[one])) == 2:
                ranking = roc_auc_score(labels[one], its_risks[one])
                assert sampled.by_stratum[row, 0, column] == pytest.approx(ranking)


def test_a_seed_has_the_figures_it_has_alone() -> None:
    histories, risks = drawn(3, num_seeds=2)

    (both,) = sample_figures([(histories, risks)], resamples(num_seeds=2))

    for seed in range(2):
        (alone,) = sample_figures([(histories, risks[seed : seed + 1])], resamples())
        np.testing.assert_array_equal(both.by_stratum[:, [seed]], alone.by_stratum)
        for metric, figures in alone.by_metric.items():
            np.testing.assert_array_equal(both.by_metric[metric][:, [seed]], figures)


def test_a_model_without_a_random_part_says_the_same_for_each_seed() -> None:
    histories, risks = drawn(3)

    (once,) = sample_figures([(histories, risks)], resamples())
    (thrice,) = sample_figures([(histories, np.repeat(risks, 3, axis=0))], resamples(num_seeds=3))

    np.testing.assert_array_equal(thrice.by_stratum, np.repeat(once.by_stratum, 3, axis=1))
    for metric, figures in once.by_metric.items():
        np.testing.assert_array_equal(thrice.by_metric[metric], np.repeat(figures, 3, axis=1))


def test_some_of_the_histories_have_figures_of_their_own_under_the_same_resamples() -> None:
    histories, risks = drawn(3)
    is_chosen = histories.strata == 2

    all_of_them, some = sample_figures(
        [(histories, risks), (histories.where(is_chosen), risks[:, is_chosen])], resamples(), has_lift=False
    )

    column = all_of_them.strata.tolist().index(2)
    np.testing.assert_array_equal(some.by_metric["roc_auc_pooled"][:, 0], all_of_them.by_stratum[:, 0, column])
    assert not some.by_metric.keys() & LIFT_SHARES


def test_labels_of_one_class_can_be_calibrated_and_not_ranked() -> None:
    histories, risks = drawn(3)
    all_alike = Histories(np.ones_like(histories.labels), histories.strata, histories.owners)

    (sampled,) = sample_figures([(all_alike, risks)], resamples())

    assert set(sampled.by_metric) == {"brier", "expected_calibration_error"}
    assert sampled.by_stratum.shape == (0, 1, 0)
