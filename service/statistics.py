"""What one version has done since it was loaded."""

from dataclasses import dataclass, field

from service.call import BatchReport


@dataclass(slots=True)
class Duration:
    """How often something was done, and how long that took together."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.count += 1
        self.seconds += seconds


@dataclass(slots=True)
class Statistics:
    """What one version has done since it was loaded; written and read on the event loop.

    Attributes:
        num_sequences: Scored, through any protocol.
        queue: Of each call of the model, the longest wait in line.
        infer: The calls of the model.
        success: Requests of the Open Inference Protocol that were answered with scores, from head to answer.
        fail: Those that were not.
        last_answer_at: When the last of them was answered, in seconds since 1970; 0 before the first.
    """

    num_sequences: int = 0
    queue: Duration = field(default_factory=Duration)
    infer: Duration = field(default_factory=Duration)
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    last_answer_at: float = 0.0

    def observe(self, call: BatchReport) -> None:
        """Count a call of the model; one that failed has scored nothing."""
        if not call.failed:
            self.num_sequences += call.rows
            self.queue.add(call.longest_wait_seconds)
            self.infer.add(call.run_seconds)
