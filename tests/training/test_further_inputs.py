from dataclasses import replace

import numpy as np
import pytest

from models.further_inputs import SCORED_MINUTE_OF_WEEK, FurtherInputs
from models.sequences import Vocabulary, encode
from training.columns import Column
from training.eventlog import EventLog
from training.further_inputs import fit_inputs, tabular, values_of, with_inputs
from training.input_config import InputConfig
from training.prefixes import Prefixes, cut_prefixes
from training.reference import reference_statistics
from training.rows import EventLogError

INPUTS = [
    InputConfig(name="amount", kind="numeric", transform="log1p"),
    InputConfig(name="channel", kind="categorical", default="?"),
    InputConfig(name="age", kind="numeric", per="sequence"),
    InputConfig.model_validate({"kind": "clock"}),
]
VOCABULARY = Vocabulary(["open", "call"])


def log() -> EventLog:
    """Two sequences from a Thursday's midnight on; the category `fax` is rare."""
    texts = np.array(["web", "app", "web", "app", "fax"], dtype=object)
    return EventLog(
        sequence_ids=np.array(["a", "b"], dtype=object),
        labels=np.array([1, 0], np.int8),
        offsets=np.array([0, 3, 5]),
        event_types=np.array(["open", "wait", "call", "open", "call"], dtype=object),
        times_microseconds=np.array([0, 5, 65, 70, 6_000]) * 60_000_000,
        has_calendar_time=True,
        columns={
            "amount": Column("event", np.array([1, 10, 100, 0, -5], np.float32)),
            "channel": Column("event", texts),
            "age": Column("sequence", np.array([30, 50], np.float32)),
        },
        has_clock=True,
    )


FITTED = fit_inputs(log(), INPUTS, min_count=2)


@pytest.fixture(scope="module")
def prefixes() -> Prefixes:
    return cut_prefixes(with_inputs(log(), FITTED))


def test_numbers_are_standardised_and_categories_found_in_the_fit_part() -> None:
    amount, channel, age, clock = FITTED

    logs = np.sign([1, 10, 100, 0, -5]) * np.log1p([1, 10, 100, 0, 5])
    assert [amount.mean, amount.scale] == pytest.approx([logs.mean(), logs.std()])
    assert channel.declared.categories == ("app", "web")
    assert (age.transform, age.mean, age.scale) == ("none", 40, 10)
    assert clock.declared.kind == "clock"


def test_numbers_that_do_not_vary_are_left_in_scale() -> None:
    same = replace(log(), columns={"amount": Column("event", np.full(5, 3, np.float32))})

    assert fit_inputs(same, INPUTS[:1], 1)[0].scale == 1


def test_categories_that_are_all_rare_are_refused() -> None:
    with pytest.raises(EventLogError, match="at least 3 times in the fit part for the input channel"):
        fit_inputs(log(), INPUTS, min_count=3)


@pytest.mark.parametrize("max_events", [1, 2, 50])
def test_prefixes_encode_their_inputs_as_the_contract_does(prefixes: Prefixes, max_events: int) -> None:
    inputs = FurtherInputs([one.declared for one in FITTED])
    histories = [prefixes.history(index, 50) for index in range(len(prefixes))]
    values = [values_of(prefixes, index, 50, FITTED) for index in range(len(prefixes))]

    received = prefixes.encoded(VOCABULARY, max_events)

    event_types, minutes = zip(*histories, strict=True)
    expected = inputs.complete(encode(event_types, minutes, VOCABULARY, max_events), values)
    assert received.further.keys() == expected.further.keys()
    for name, array in expected.further.items():
        assert received.further[name].tolist() == array.tolist()
        assert received.further[name].dtype == array.dtype


def test_values_are_those_a_client_would_send(prefixes: Prefixes) -> None:
    last = values_of(prefixes, len(prefixes) - 1, 50, FITTED)

    assert last["amount"] == (0.0, -5.0)
    assert last["channel"] == ("app", "never seen in training")
    assert last["age"] == 50
    # 6,000 minutes after Thursday's midnight.
    assert last["scored_minute_of_week"] == (3 * 1_440 + 6_000) % 10_080


def test_models_without_sequences_are_told_the_latest_values(prefixes: Prefixes) -> None:
    encoded = prefixes.encoded(VOCABULARY, 50)
    without_clock = {name: values for name, values in encoded.further.items() if name != SCORED_MINUTE_OF_WEEK}

    columns, are_categories = tabular(replace(encoded, further=without_clock))

    assert columns[2].tolist() == pytest.approx([100, 37, 100, 3, 30])
    assert columns[4].tolist() == pytest.approx([-5, -2.5, 0, 1, 50])
    assert are_categories == [False, False, False, True, False]


def test_reference_statistics_describe_the_inputs(prefixes: Prefixes) -> None:
    reference = reference_statistics(prefixes, np.full(len(prefixes), 0.5), VOCABULARY, 50, FITTED)

    assert reference.category_shares == {"channel": {"app": pytest.approx(4 / 9), "web": pytest.approx(4 / 9)}}
    assert reference.number_quantiles.keys() == {"amount", "age", "scored_minute_of_week"}
    assert reference.number_quantiles["age"].values[0] == 30
