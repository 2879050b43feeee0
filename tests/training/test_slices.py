from dataclasses import replace

import numpy as np

from tests.training.histories import log_of
from training.columns import Column
from training.further_inputs import fit_inputs, with_inputs
from training.input_config import InputConfig
from training.prefixes import cut_prefixes
from training.slices import OTHERS, each_slice, slice_values


def test_a_history_is_put_with_those_of_its_first_event_type_and_of_the_month_it_is_scored_in() -> None:
    log = log_of([["login", "pay"], ["call"]], days=[[30, 31], [45]])

    values = slice_values(cut_prefixes(log))

    assert values["first_event_type"].tolist() == ["login", "login", "call"]
    assert values["month"].tolist() == ["1970-01", "1970-02", "1970-02"]


def test_a_history_is_put_with_those_of_its_sequences_category() -> None:
    channel = InputConfig.model_validate({"name": "channel", "kind": "categorical", "per": "sequence"})
    per_event = InputConfig.model_validate({"name": "amount", "kind": "numeric"})
    columns = {
        "channel": Column("sequence", np.array(["web", "app", "web"], object)),
        "amount": Column("event", np.zeros(4, np.float32)),
    }
    log = replace(log_of([["login", "pay"], ["call"], ["call"]]), columns=columns)
    further = fit_inputs(log, (channel, per_event), min_count=2)

    values = slice_values(cut_prefixes(with_inputs(log, further)), further)

    assert values.keys() == {"first_event_type", "month", "channel"}
    # Rarer categories the model does not tell apart either.
    assert values["channel"].tolist() == ["web", "web", OTHERS, "web"]


def test_rare_first_event_types_are_one_slice_that_comes_last() -> None:
    types = [[f"type {number:02}"] for number in range(20) for _ in range(20 - number)]

    (values,) = (slice_values(cut_prefixes(log_of(types)))["first_event_type"],)
    slices = list(each_slice(values))

    assert [value for value, _ in slices][-2:] == ["type 10", OTHERS]
    assert np.sum([is_chosen.sum() for _, is_chosen in slices]) == len(types)
