import numpy as np
import pytest

from models.sequences import Vocabulary, encode
from training.baselines import GradientBoosting, aggregates
from training.evaluation import roc_auc
from training.prefixes import cut_prefixes
from training.splits import Split

VOCABULARY = Vocabulary(["login", "pay"])


def test_a_history_amounts_to_its_counts_latest_types_and_times() -> None:
    encoded = encode(
        [["login", "pay", "refund", "pay"], ["pay"]], [[90.0, 60.0, 55.0, 0.0], [0.0]], VOCABULARY, max_events=10
    )

    features = aggregates(encoded, VOCABULARY.size)

    # unknown, login, pay; last and last but one id; events; last gap, since start, longest gap, mean gap
    assert features[0].tolist() == [1, 1, 2, 3, 1, 4, 55, 90, 55, 30]
    assert features[1].tolist() == [0, 0, 1, 3, 0, 1, 0, 0, 0, 0]


def test_aggregates_do_not_depend_on_the_padding() -> None:
    histories, minutes = [["login", "pay"]], [[7.0, 0.0]]

    narrow, wide = (aggregates(encode(histories, minutes, VOCABULARY, 10, time=time), 4) for time in (2, 9))

    assert narrow.tolist() == wide.tolist()


def test_boosting_finds_what_announces_the_label_and_answers_in_order(split: Split) -> None:
    vocabulary = Vocabulary(["login", "pay", "browse", "refund"])
    boosting = GradientBoosting(vocabulary, 10, seed=1)

    boosting.fit(cut_prefixes(split.fit), cut_prefixes(split.validation))

    test = cut_prefixes(split.test)
    logits = boosting.logits(test)
    assert roc_auc(test.labels.astype(np.float64), logits, np.ones((1, len(logits))))[0] > 0.7
    assert boosting.logits(test.take(np.array([5, 3]))) == pytest.approx(logits[[5, 3]])
