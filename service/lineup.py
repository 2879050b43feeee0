"""The line-up: which versions answer, loaded, verified and warm before they do, and changed under way."""

from service.errors import NotReadyError
from service.follower import Follower
from service.live_model import LiveModel
from service.metrics import Metrics
from service.pair import Pair
from service.settings import Settings, SettingsError
from service.versions import ModelStatus, VersionStatus, objection


class LineUp:
    """The served versions, as they are when somebody asks; a follower of the repository changes them.

    Args:
        settings: Which versions, on which device.
        metrics: Where loading and batches are counted.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._follower = Follower(settings, metrics)
        metrics.waiting_sequences.set_function(lambda: self.num_waiting)

    @property
    def fatal(self) -> SettingsError | None:
        """Why these settings can never work, once that is known: whoever started the process is to end it."""
        return self._follower.fatal

    @property
    def name(self) -> str | None:
        """Name of the served model, once known."""
        return self._follower.status.name

    @property
    def num_waiting(self) -> int:
        """Sequences waiting for the version that answers."""
        champion = self._follower.champion
        return 0 if champion is None else champion.num_waiting

    def status(self) -> ModelStatus:
        """The served model at this moment."""
        return self._follower.status

    def versions(self) -> list[VersionStatus]:
        """Every version at this moment, ascending."""
        champion, challenger = self._follower.champion, self._follower.challenger
        return self._follower.versions.statuses(
            None if champion is None else champion.manifest,
            None if challenger is None else challenger.model.manifest,
            self._follower.loading,
        )

    def champion(self) -> LiveModel:
        """The version that answers.

        Raises:
            NotReadyError: It is being loaded or could not be; the message says which, and why.
        """
        champion = self._follower.champion
        if champion is None:
            status = self._follower.status
            raise NotReadyError(f"Expected a verified and warm model. Received: {status.state}. {status.reason}")
        return champion

    def loaded(self) -> list[LiveModel]:
        """The versions that can answer at this moment: the champion, then the challenger."""
        champion, challenger = self._follower.champion, self._follower.challenger
        if champion is None:
            return []
        return [champion] if challenger is None else [champion, challenger.model]

    def pair(self, asked: LiveModel | None = None) -> Pair:
        """Who answers a request that has just come.

        Args:
            asked: The version asked for, of those `loaded`; by default whoever answers for all.

        Raises:
            NotReadyError: As `champion`; the challenger is not waited for.
        """
        champion, challenger = self.champion(), self._follower.challenger
        if asked not in {None, champion}:
            # Whoever asks for the challenger gets its answer, and nothing to compare it with.
            return Pair(asked, None)
        if challenger is not None and objection(champion.manifest, challenger.model.manifest):
            challenger = None
        return Pair(champion, challenger)

    async def start(self) -> None:
        """Begin to load; returns at once."""
        await self._follower.start()

    async def stop(self) -> None:
        """Give up loading, answer every accepted request and accept no more."""
        await self._follower.stop()
