"""Golden examples: proof that a loaded model gives, on this device and in every bucket, the answers it was made with.

GoldenExampleError    an answer differs
verify                every example in every bucket
"""

from models.manifest import GoldenExample, Manifest
from models.sequences import Vocabulary, encode
from service.batcher import Run
from service.buckets import Buckets

_Examples = list[tuple[int, GoldenExample]]


class GoldenExampleError(RuntimeError):
    """The model answered a golden example differently from its manifest."""


def verify(run: Run, manifest: Manifest, vocabulary: Vocabulary, buckets: Buckets) -> None:
    """Score every golden example in every bucket that it fits into and compare both outputs.

    Args:
        run: The compiled model, as the batcher calls it.
        manifest: Whose examples.
        vocabulary: The manifest's.
        buckets: The shapes `run` takes.

    Raises:
        GoldenExampleError: An output is further from the manifest's than `golden_tolerance`, or no number.
    """
    for batch, time in buckets.shapes:
        examples = [
            (number, example)
            for number, example in enumerate(manifest.golden_examples, start=1)
            if min(len(example.event_types), manifest.max_events) <= time
        ]
        for start in range(0, len(examples), batch):
            # The last call is filled up with examples that were already checked.
            filled = [examples[k % len(examples)] for k in range(start, start + batch)]
            _verify_call(run, filled, manifest, vocabulary, time)


def _verify_call(run: Run, examples: _Examples, manifest: Manifest, vocabulary: Vocabulary, time: int) -> None:
    encoded = encode(
        [example.event_types for _, example in examples],
        [example.elapsed_minutes for _, example in examples],
        vocabulary,
        manifest.max_events,
        time=time,
    )
    risk, auxiliary_risk = run(encoded.event_ids, encoded.elapsed_minutes)
    for row, (number, example) in enumerate(examples):
        for output, received, expected in (
            ("risk", float(risk[row]), example.risk),
            ("auxiliary_risk", float(auxiliary_risk[row]), example.auxiliary_risk),
        ):
            # Asked this way round, NaN is at fault too.
            if not abs(received - expected) <= manifest.golden_tolerance:
                raise GoldenExampleError(
                    f"Expected {output} {expected:.8f}, within {manifest.golden_tolerance:g}, for golden example "
                    f"{number} of {manifest.name} version {manifest.version}. Received: {received:.8f} in the bucket "
                    f"of {len(examples)} sequences of {time} events. "
                    "The model computes something else here than where it was made."
                )
