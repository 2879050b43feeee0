"""A live version that is told more than types and times, without TensorFlow: every value moves its risk."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.further_inputs import FurtherInput
from models.manifest import GoldenExample, Manifest
from service.batcher import Batcher
from service.live_model import LiveModel
from tests.service.live_models import BUCKETS, manifest

AMOUNT = FurtherInput(name="amount", kind="numeric", per="event", unit="EUR", default=0.5)
CHANNEL = FurtherInput(
    name="channel", kind="categorical", per="event", unit=None, default="none", categories=("web", "7")
)
AGE = FurtherInput(name="age", kind="numeric", per="sequence", unit="years", default=40.0)
COUNTRY = FurtherInput(
    name="country", kind="categorical", per="sequence", unit=None, default="CH", categories=("DE", "CH")
)
CLOCK = FurtherInput(name="scored_minute_of_week", kind="clock", per="sequence", unit="minutes", default=60.0)
INPUTS = (AMOUNT, CHANNEL, AGE, COUNTRY, CLOCK)

OF_EXAMPLE: dict[str, Any] = {
    "amount": (1.0,),
    "channel": ("web",),
    "age": 30.0,
    "country": "DE",
    "scored_minute_of_week": 0.0,
}


def told_manifest(*inputs: FurtherInput) -> Manifest:
    """That of `tiny`, told of `inputs`; by default of all kinds."""
    inputs = inputs or INPUTS
    example = GoldenExample(
        event_types=("7",),
        elapsed_minutes=(0.0,),
        risk=0.5,
        auxiliary_risk=0.5,
        further={one.name: OF_EXAMPLE[one.name] for one in inputs},
    )
    return manifest().model_copy(update={"further_inputs": inputs, "golden_examples": (example,)})


def required(one: FurtherInput) -> FurtherInput:
    """The input without its default."""
    return one.model_copy(update={"default": None})


def told_model(*inputs: FurtherInput) -> LiveModel:
    """Its risk is a digest of all it is told; padding tells nothing."""
    told = told_manifest(*inputs)

    def run(
        event_ids: NDArray[np.int32], minutes: NDArray[np.float32], *further: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        total = np.zeros(len(event_ids))
        for number, values in enumerate((event_ids, minutes, *further), start=1):
            # Later steps count more, so that a value at another event is another risk.
            steps = np.arange(1, event_ids.shape[1] + 1) if values.ndim == 2 else np.ones(1)
            total += number * (np.where(event_ids > 0, values, 0) if values.ndim == 2 else values[:, None]) @ steps
        risk = (total % 997 / 1_000).astype(np.float32)
        return risk, risk

    return LiveModel(told, run, BUCKETS, Batcher(run, buckets=BUCKETS, slots=1, max_waiting_sequences=1_000))
