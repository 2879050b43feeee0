from dataclasses import astuple, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from tests.training.histories import random_log
from training.config import EvaluationConfig, TrainingConfig
from training.data_config import DataConfig
from training.evaluation import evaluate
from training.metrics import weighted_roc_auc
from training.prefixes import Prefixes, cut_prefixes
from training.results import GRADIENT_BOOSTING, MAIN_METRIC, NETWORK, Evaluation

CONFIG = TrainingConfig(
    name="x", predicts="label 1", data=DataConfig(path="x.csv"), evaluation=EvaluationConfig(resamples=300)
)


def guess(prefixes: Prefixes, skill: float, seed: int = 0) -> NDArray[np.float64]:
    """Risks that know the label to a degree, one decimal, float64 (1, prefix)."""
    noise = np.random.default_rng(seed).random(len(prefixes))
    return np.round(skill * prefixes.labels + (1 - skill) * noise, 1)[None].astype(np.float64)


def judged(prefixes: Prefixes, network: float, boosting: float) -> Evaluation:
    return evaluate(
        CONFIG, prefixes, {NETWORK: guess(prefixes, network), GRADIENT_BOOSTING: guess(prefixes, boosting, 1)}, [1]
    )


def test_an_interval_spans_what_other_samples_of_sequences_would_give() -> None:
    def pooled(seed: int) -> float:
        prefixes = cut_prefixes(random_log(seed, 200))
        return float(roc_auc_score(prefixes.labels, guess(prefixes, 0.3, seed)[0]))

    prefixes = cut_prefixes(random_log(0, 200))

    interval = judged(prefixes, 0.3, 0.3).figures[NETWORK]["roc_auc_pooled"]

    assert interval.lower < interval.value < interval.upper
    spread = 2 * 1.96 * np.std([pooled(seed) for seed in range(1, 61)])
    assert interval.upper - interval.lower == pytest.approx(spread, rel=0.4)


def test_sequences_of_one_entity_are_drawn_together() -> None:
    """Ten copies of each sequence under one entity tell no more than one of it."""
    num_sequences, copies = 100, 10
    single = cut_prefixes(random_log(3, num_sequences))
    log = random_log(3, num_sequences, [f"e{number:03}" for number in range(num_sequences)])
    copied = cut_prefixes(log.where(np.ones(num_sequences, bool)))
    rows = np.tile(np.arange(len(copied)), copies)
    risks = guess(single, 0.3)

    def width(prefixes: Prefixes, of_rows: NDArray[np.int64]) -> float:
        both = {NETWORK: risks[:, of_rows], GRADIENT_BOOSTING: risks[:, of_rows]}
        figure = evaluate(CONFIG, prefixes.take(of_rows), both, [1]).figures[NETWORK]["roc_auc_pooled"]
        return figure.upper - figure.lower

    assert width(copied, rows) == pytest.approx(width(single, np.arange(len(single))), rel=1e-6)


def test_a_model_does_not_differ_from_itself() -> None:
    prefixes = cut_prefixes(random_log(3, 60))
    risks = guess(prefixes, 0.5)

    evaluation = evaluate(CONFIG, prefixes, {NETWORK: risks, GRADIENT_BOOSTING: risks}, [1])

    for difference in evaluation.differences[GRADIENT_BOOSTING].values():
        assert (difference.value, difference.lower, difference.upper) == (0, 0, 0)
    assert evaluation.verdict == "not_distinguishable"


@pytest.mark.parametrize(
    ("network", "boosting", "verdict"), [(0.4, 0.1, "better"), (0.1, 0.4, "worse"), (0.3, 0.3, "not_distinguishable")]
)
def test_the_verdict_follows_from_the_paired_difference(network: float, boosting: float, verdict: str) -> None:
    assert judged(cut_prefixes(random_log(3, 300)), network, boosting).verdict == verdict


def test_labels_that_nothing_tells_are_not_predictable() -> None:
    prefixes = cut_prefixes(random_log(3, 300))

    evaluation = judged(prefixes, 0.0, 0.0)

    assert evaluation.verdict == "not_predictable"
    assert evaluation.sentence.startswith("Not predictable: no model ranks better than chance")


def test_figures_are_means_over_seeds_and_the_interval_grows_with_their_spread() -> None:
    prefixes = cut_prefixes(random_log(3, 300))
    skills = (0.1, 0.3, 0.5)
    network = np.concatenate([guess(prefixes, skill) for skill in skills])
    same = np.repeat(network[1:2], 3, axis=0)

    evaluation = evaluate(CONFIG, prefixes, {NETWORK: network, GRADIENT_BOOSTING: same}, [1, 2, 3])

    of_seeds = evaluation.by_seed[NETWORK][MAIN_METRIC]
    varied, steady = (evaluation.figures[model][MAIN_METRIC] for model in (NETWORK, GRADIENT_BOOSTING))
    assert varied.value == pytest.approx(np.mean(of_seeds))
    assert len(set(of_seeds)) == 3
    assert varied.upper - varied.lower > 1.5 * (steady.upper - steady.lower)


def test_lengths_and_slices_split_the_test_period_without_loss() -> None:
    prefixes = cut_prefixes(random_log(3, 80))

    evaluation = judged(prefixes, 0.4, 0.3)

    assert sum(of_length.num_prefixes for of_length in evaluation.by_length) == len(prefixes)
    chosen = prefixes.lengths == 2
    second = evaluation.by_length[1]
    assert second.roc_auc[NETWORK].value == pytest.approx(
        roc_auc_score(prefixes.labels[chosen], guess(prefixes, 0.4)[0][chosen])
    )
    assert second.difference is not None
    assert second.difference.value == pytest.approx(
        second.roc_auc[NETWORK].value - second.roc_auc[GRADIENT_BOOSTING].value
    )
    for column in ("month", "first_event_type"):
        of_column = [one for one in evaluation.by_slice if one.column == column]
        assert sum(one.num_prefixes for one in of_column) == len(prefixes)
        assert all(set(one.figures) == {NETWORK, GRADIENT_BOOSTING} for one in of_column)


def test_a_slice_of_one_class_has_no_ranking_figures() -> None:
    log = random_log(3, 60)
    log.event_types[log.offsets[:-1]] = np.where(log.labels == 1, "claim", "visit")

    evaluation = judged(cut_prefixes(log), 0.4, 0.3)

    claims = next(one for one in evaluation.by_slice if one.value == "claim")
    assert claims.prevalence == 1
    assert set(claims.figures[NETWORK]) == {"brier", "expected_calibration_error"}


def test_a_slice_of_a_handful_of_sequences_has_no_figures() -> None:
    log = random_log(3, 60)
    log.event_types[log.offsets[:-1]] = np.where(np.arange(60) < 19, "claim", "visit")

    evaluation = judged(cut_prefixes(log), 0.4, 0.3)

    told = {one.value: bool(one.differences) for one in evaluation.by_slice if one.column == "first_event_type"}
    assert told == {"claim": False, "visit": True}
    (claims,) = (one for one in evaluation.by_slice if one.value == "claim")
    assert (claims.num_sequences, claims.figures[NETWORK]) == (19, {})


def test_whole_histories_are_ranked_with_each_other_whatever_their_length() -> None:
    prefixes = cut_prefixes(random_log(3, 80), histories="whole")

    evaluation = judged(prefixes, 0.4, 0.3)

    figures = evaluation.figures[NETWORK]
    assert astuple(figures[MAIN_METRIC]) == pytest.approx(astuple(figures["roc_auc_pooled"]))
    assert evaluation.by_length == ()


def test_further_labels_are_ranked_where_they_are_known() -> None:
    log = random_log(3, 200)
    further = np.where(np.arange(200) % 3 == 0, np.nan, np.arange(200) % 2).astype(np.float32)
    unknown = np.full(200, np.nan, np.float32)
    prefixes = cut_prefixes(replace(log, further_labels={"moved": further, "upset": unknown}))
    logits = np.random.default_rng(0).normal(size=len(prefixes)) + (prefixes.sequences % 2)
    both = {NETWORK: guess(prefixes, 0.3), GRADIENT_BOOSTING: guess(prefixes, 0.3, 1)}

    evaluation = evaluate(CONFIG, prefixes, both, [1], further_logits={"moved": logits, "upset": logits})

    known = ~np.isnan(further[prefixes.sequences])
    labels = further[prefixes.sequences].astype(np.float64)
    expected = weighted_roc_auc(labels[known], logits[known], np.ones((1, int(known.sum()))), prefixes.strata[known])
    assert list(evaluation.further_labels) == ["moved"]
    figure = evaluation.further_labels["moved"]
    assert figure.value == pytest.approx(expected[0])
    assert 0.5 < figure.lower < figure.value < figure.upper
