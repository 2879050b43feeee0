from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from models.repository import Artifact
from tests.training.evaluations import evaluation
from training.draft import _evaluation, default_max_elapsed_minutes
from training.eventlog import EventLog
from training.prefixes import cut_prefixes
from training.results import Interval
from training.samples import LIFT_SHARES
from training.splits import Split

METRICS = {"roc_auc_weighted", "roc_auc_pooled", "average_precision", "brier", "expected_calibration_error"}
METRICS |= LIFT_SHARES.keys()
MODELS = ("network", "gradient_boosting", "logistic_regression")


def test_the_evaluation_is_that_of_the_test_period(artifact: Artifact, split: Split) -> None:
    evaluation = artifact.manifest.evaluation

    starts_at = int(split.test.starts_microseconds[0]) / 1e6
    assert evaluation.test_from == datetime.fromtimestamp(starts_at, UTC)
    assert evaluation.num_sequences == split.test.num_sequences
    assert evaluation.num_prefixes == split.test.num_events
    figures = {(metric.model, metric.name) for metric in evaluation.metrics}
    assert figures == {(model, name) for model in MODELS for name in METRICS}


def test_the_manifest_counts_what_the_evaluation_counted(log: EventLog) -> None:
    found = evaluation()

    told = _evaluation(cut_prefixes(log), found)

    assert (told.num_sequences, told.num_prefixes) == (found.num_sequences, found.num_prefixes)
    assert told.prevalence == found.prevalence


def test_further_labels_are_numbered_in_order_of_their_columns(log: EventLog) -> None:
    labels = np.zeros(log.num_sequences, np.float32)
    prefixes = cut_prefixes(replace(log, further_labels={"moved": labels, "upset": labels}))
    found = replace(evaluation(), further_labels={"upset": Interval(0.6, 0.5, 0.7)})

    told = [metric for metric in _evaluation(prefixes, found).metrics if "label" in metric.name]

    assert [metric.name for metric in told] == ["roc_auc_weighted_of_label_3"]
    assert (told[0].model, told[0].value, told[0].lower, told[0].upper) == ("network", 0.6, 0.5, 0.7)


def test_the_contract_of_the_artifact_is_that_of_the_configuration(artifact: Artifact) -> None:
    manifest = artifact.manifest

    assert (manifest.name, manifest.predicts, manifest.max_events) == ("refunds", "this customer will leave", 10)
    assert set(manifest.vocabulary) == {"login", "pay", "browse", "refund"}
    assert not manifest.scores_between_events
    assert sum(manifest.reference.event_type_shares.values()) + manifest.reference.unknown_share == pytest.approx(1)


@pytest.mark.parametrize(("last_minute", "expected"), [(0, 1), (7, 70), (7.01, 71), (2e9, 1e9)])
def test_elapsed_minutes_are_accepted_up_to_ten_times_the_longest_sequence(last_minute: float, expected: float) -> None:
    log = EventLog(
        sequence_ids=np.array(["a"], dtype=object),
        labels=np.array([0], np.int8),
        offsets=np.array([0, 2]),
        event_types=np.array(["x", "y"], dtype=object),
        times_microseconds=np.array([0, round(last_minute * 60_000_000)]),
        has_calendar_time=True,
    )

    assert default_max_elapsed_minutes(log) == expected
