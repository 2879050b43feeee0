import numpy as np

from tests.training.histories import log_of
from training.prefixes import cut_prefixes
from training.slices import OTHERS, each_slice, slice_values


def test_a_history_is_put_with_those_of_its_first_event_type_and_of_the_month_it_is_scored_in() -> None:
    log = log_of([["login", "pay"], ["call"]], days=[[30, 31], [45]])

    values = slice_values(cut_prefixes(log))

    assert values["first_event_type"].tolist() == ["login", "login", "call"]
    assert values["month"].tolist() == ["1970-01", "1970-02", "1970-02"]


def test_rare_first_event_types_are_one_slice_that_comes_last() -> None:
    types = [[f"type {number:02}"] for number in range(20) for _ in range(20 - number)]

    (values,) = (slice_values(cut_prefixes(log_of(types)))["first_event_type"],)
    slices = list(each_slice(values))

    assert [value for value, _ in slices][-2:] == ["type 10", OTHERS]
    assert np.sum([is_chosen.sum() for _, is_chosen in slices]) == len(types)
