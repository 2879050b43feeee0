"""Who answers a request of the Open Inference Protocol, and how that is counted, whichever transport carries it."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, time

from service.lineup import LineUp
from service.open_inference_catalogue import Asked, Catalogue
from service.pair import Pair


class Inferences:
    """Finds who answers requests for inference, and counts them.

    Args:
        lineup: Those who can.
        catalogue: Finds the version asked for.
    """

    def __init__(self, lineup: LineUp, catalogue: Catalogue) -> None:
        self._lineup = lineup
        self._catalogue = catalogue

    def pair(self, asked: Asked) -> Pair:
        """Who answers; errors are those of `Catalogue.find`."""
        return self._lineup.pair(self._catalogue.find(asked))

    @contextmanager
    def counted(self, asked: Asked) -> Iterator[None]:
        """Count a request with the version asked for: a success if the block ends, a failure if it is left early.

        Raises:
            ServiceError: As `Catalogue.find`, before the block.
        """
        started_at = monotonic()
        statistics = self._catalogue.find(asked).statistics
        try:
            yield
        except BaseException:
            statistics.fail.add(monotonic() - started_at)
            raise
        statistics.success.add(monotonic() - started_at)
        statistics.last_answer_at = time()
