"""Golden examples: proof that a loaded model gives, on this device and in every bucket, the answers it was made with.

GoldenExampleError    an answer differs
verify                every example in every bucket
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.further_inputs import FurtherInputs, FurtherValues
from models.manifest import Manifest
from models.sequences import EncodedBatch, EventType, Vocabulary, encode
from service.artifact_fault import ArtifactFaultError
from service.batcher import Run
from service.buckets import Buckets


class GoldenExampleError(ArtifactFaultError):
    """The model answered a golden example differently from its manifest."""


@dataclass(frozen=True, slots=True)
class _Expectation:
    """What a history must be answered with, and what to call it."""

    name: str
    event_types: Sequence[EventType]
    elapsed_minutes: Sequence[float]
    further: FurtherValues
    risk: float
    auxiliary_risk: float


def verify(run: Run, manifest: Manifest, vocabulary: Vocabulary, buckets: Buckets) -> None:
    """Score golden examples in every bucket and compare both outputs.

    A bucket of any batch size sees every example that fits into its time. Where none fits, it sees the latest events of
    each, and their answers must be those of the longest bucket, which all examples have been through by then: so no
    bucket that will answer is left out.

    Args:
        run: The compiled model, as the batcher calls it.
        manifest: Whose examples.
        vocabulary: The manifest's.
        buckets: The shapes `run` takes.

    Raises:
        GoldenExampleError: An output is further from what is expected than `golden_tolerance`, or no number.
    """
    for batch, time in buckets.shapes:
        expectations = [
            _Expectation(
                f"golden example {number}",
                example.event_types,
                example.elapsed_minutes,
                example.further,
                example.risk,
                example.auxiliary_risk,
            )
            for number, example in enumerate(manifest.golden_examples, start=1)
            if min(len(example.event_types), manifest.max_events) <= time
        ]
        expectations = expectations or _cut(run, manifest, vocabulary, buckets, time)
        for start in range(0, len(expectations), batch):
            # The last call is filled up with examples that were already checked.
            filled = [expectations[k % len(expectations)] for k in range(start, start + batch)]
            _verify_call(run, filled, manifest, vocabulary, time)


def _cut(run: Run, manifest: Manifest, vocabulary: Vocabulary, buckets: Buckets, time: int) -> list[_Expectation]:
    """The latest `time` events of each golden example, and what the longest bucket answers to them."""
    expectations = []
    for number, example in enumerate(manifest.golden_examples, start=1):
        cut = _Expectation(
            f"the latest {time} events of golden example {number}",
            example.event_types[-time:],
            example.elapsed_minutes[-time:],
            {name: told[-time:] if isinstance(told, tuple) else told for name, told in example.further.items()},
            risk=0.0,
            auxiliary_risk=0.0,
        )
        encoded = _encode([cut] * buckets.batches[0], manifest, vocabulary, buckets.max_time)
        risk, auxiliary_risk = run(*encoded.tensors.values())
        expectations.append(replace(cut, risk=float(risk[0]), auxiliary_risk=float(auxiliary_risk[0])))
    return expectations


def _verify_call(
    run: Run, expectations: Sequence[_Expectation], manifest: Manifest, vocabulary: Vocabulary, time: int
) -> None:
    encoded = _encode(expectations, manifest, vocabulary, time)
    risk, auxiliary_risk = run(*encoded.tensors.values())
    for row, expectation in enumerate(expectations):
        for output, received, expected in (
            ("risk", float(risk[row]), expectation.risk),
            ("auxiliary_risk", float(auxiliary_risk[row]), expectation.auxiliary_risk),
        ):
            # Asked this way round, NaN is at fault too.
            if not abs(received - expected) <= manifest.golden_tolerance:
                raise GoldenExampleError(
                    f"Expected {output} {expected:.8f}, within {manifest.golden_tolerance:g}, for {expectation.name} "
                    f"of {manifest.name} version {manifest.version}. Received: {received:.8f} in the bucket "
                    f"of {len(expectations)} sequences of {time} events. "
                    "The model computes something else here than where it was made."
                )


def _encode(
    expectations: Sequence[_Expectation], manifest: Manifest, vocabulary: Vocabulary, time: int
) -> EncodedBatch:
    encoded = encode(
        [expectation.event_types for expectation in expectations],
        [expectation.elapsed_minutes for expectation in expectations],
        vocabulary,
        manifest.max_events,
        time=time,
    )
    inputs = FurtherInputs(manifest.further_inputs)
    return inputs.complete(encoded, [expectation.further for expectation in expectations])
