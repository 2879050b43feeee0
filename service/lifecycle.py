"""Whether the process still wants traffic."""


class Lifecycle:
    """One switch, thrown by the server when it is told to stop and read wherever an answer depends on it."""

    def __init__(self) -> None:
        self._is_stopping = False

    @property
    def is_stopping(self) -> bool:
        """Whether clients should go elsewhere; they are answered all the same."""
        return self._is_stopping

    def stop(self) -> None:
        """Ask clients to go elsewhere from now on."""
        self._is_stopping = True
