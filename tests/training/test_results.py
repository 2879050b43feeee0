import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.training.histories import random_log
from tests.training.test_evaluation import judged
from training.prefixes import cut_prefixes
from training.results import Evaluation, Interval


def test_an_evaluation_is_read_as_it_was_written(tmp_path: Path) -> None:
    evaluation = judged(cut_prefixes(random_log(3, 60)), 0.4, 0.3)
    evaluation = replace(evaluation, further_labels={"moved": Interval(0.6, 0.5, 0.7)})

    evaluation.write(tmp_path / "x.json")
    again = Evaluation.read(tmp_path / "x.json")

    assert again.to_json() == evaluation.to_json()
    assert again.further_labels == evaluation.further_labels
    assert again.by_length == evaluation.by_length
    assert again.by_slice == evaluation.by_slice
    for model, risks in evaluation.scored.risks.items():
        assert np.array_equal(again.scored.risks[model], risks)
    assert np.array_equal(again.scored.asked_microseconds, evaluation.scored.asked_microseconds)
    assert json.loads((tmp_path / "x.json").read_text())["figures"]["network"]["brier"]["value"] > 0
