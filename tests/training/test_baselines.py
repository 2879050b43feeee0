from dataclasses import replace

import numpy as np
import pytest

from models.sequences import Vocabulary
from tests.training.histories import log_of
from training.baselines import GradientBoosting, LogisticRegression, aggregates
from training.columns import Column
from training.eventlog import EventLog
from training.metrics import weighted_roc_auc
from training.prefixes import Prefixes, cut_prefixes
from training.splits import Split

VOCABULARY = Vocabulary(["login", "pay"])
MINUTE = 1 / 1_440
EVENTS = [["login", "pay", "refund", "pay"], ["pay"]]
DAYS = [[0, 30 * MINUTE, 35 * MINUTE, 90 * MINUTE], [3.0]]


def whole(log: EventLog) -> Prefixes:
    return cut_prefixes(log, histories="whole")


def test_a_history_amounts_to_its_counts_latest_types_and_times() -> None:
    told = aggregates(whole(log_of(EVENTS, days=DAYS)), VOCABULARY, max_events=10)

    # Unknown, login, pay; events; last gap, since start, longest gap, mean gap, since last.
    assert told.amounts.tolist() == [[1, 1, 2, 4, 55, 90, 55, 30, 0], [0, 0, 1, 1, 0, 0, 0, 0, 0]]
    assert told.categories.tolist() == [[3, 1], [3, 0]]


def test_without_time_nothing_depends_on_it() -> None:
    log = replace(log_of(EVENTS, days=DAYS), has_clock=True)
    later = replace(log, times_microseconds=log.times_microseconds * 7)

    told, told_later = (aggregates(whole(one), VOCABULARY, 10, has_time=False) for one in (log, later))

    assert np.array_equal(told.columns, told_later.columns)


def test_further_inputs_and_the_clock_are_columns_too() -> None:
    columns = {
        "amount": Column("event", np.arange(5, dtype=np.float32)),
        "channel": Column("sequence", np.array([4, 2], np.int32)),
    }
    log = replace(log_of(EVENTS, days=DAYS), columns=columns, has_clock=True)

    told = aggregates(whole(log), VOCABULARY, max_events=10)

    # Latest, mean and largest amount; channel; 1970 began on a Thursday, and the first history is scored at 01:30.
    assert told.numbers.tolist() == [[3, 1.5, 3], [4, 4, 4]]
    assert told.categories.tolist() == [[3, 1, 4], [3, 0, 2]]
    assert told.clock.tolist() == [[1, 3], [0, 6]]


BASELINES = [lambda v: GradientBoosting(v, 10, seed=1), lambda v: LogisticRegression(v, 10)]


@pytest.mark.parametrize("make", BASELINES)
def test_a_refit_learns_what_only_the_later_part_knows(make: object, split: Split) -> None:
    vocabulary = Vocabulary(["login", "pay", "browse", "refund"])
    fit, joint = cut_prefixes(split.fit), cut_prefixes(split.joint)
    # The same with all labels the other way round.
    turned = replace(joint, labels=1 - joint.labels)
    test = cut_prefixes(split.test)
    told = []
    for learnt in (joint, turned):
        baseline = make(vocabulary)  # type: ignore[operator]
        baseline.fit(fit, cut_prefixes(split.validation), learnt)
        told.append(baseline.logits(test))

    assert np.corrcoef(*told)[0, 1] < -0.9


@pytest.mark.parametrize("make", BASELINES)
def test_a_baseline_finds_what_announces_the_label_and_answers_in_order(make: object, split: Split) -> None:
    vocabulary = Vocabulary(["login", "pay", "browse", "refund"])
    baseline = make(vocabulary)  # type: ignore[operator]

    baseline.fit(cut_prefixes(split.fit), cut_prefixes(split.validation))

    test = cut_prefixes(split.test)
    logits = baseline.logits(test)
    ranking = weighted_roc_auc(test.labels.astype(np.float64), logits, np.ones((1, len(logits))), test.lengths * 0)
    assert ranking[0] > 0.7
    assert baseline.logits(test.take(np.array([5, 3]))) == pytest.approx(logits[[5, 3]], abs=1e-5)
