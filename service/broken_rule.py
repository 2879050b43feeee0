"""A rule that one sequence of a request breaks."""

from collections.abc import Callable


class BrokenRuleError(Exception):
    """A sequence breaks a rule.

    Args:
        place: JSON pointer from the sequence to the fault.
        message: What was expected, what was received; or what tells it, where that takes long and few are shown.
    """

    def __init__(self, place: str, message: str | Callable[[], str]) -> None:
        super().__init__(place, message)
        self.place = place
        self._message = message

    @property
    def message(self) -> str:
        """What was expected, what was received."""
        return self._message if isinstance(self._message, str) else self._message()

    def __str__(self) -> str:
        """The message."""
        return self.message
