"""The served model in its repository."""

from models.repository import Artifact, ArtifactNotFoundError, Repository
from service.settings import Settings, SettingsError


class Source:
    """The served model in its repository, found as the settings say.

    Args:
        settings: Repository, model and version.

    Raises:
        SettingsError: There is no such model or version; or several models, and none is chosen.
    """

    def __init__(self, settings: Settings) -> None:
        self._repository = Repository(settings.repository, settings.cache_directory)
        self.name = settings.model or self._only_name()
        try:
            self._repository.resolve(self.name, None if settings.version == "latest" else settings.version)
        except ArtifactNotFoundError as error:
            raise SettingsError(f"Wrong settings: SEQRISK_MODEL or SEQRISK_VERSION: {error}") from error

    def versions(self) -> list[int]:
        """Complete versions there now, ascending."""
        return self._repository.versions(self.name)

    def fingerprint(self, version: int) -> str:
        """Of a version's files: another one means that one of them has changed."""
        return self._repository.fingerprint(self.name, version)

    def open(self, version: int) -> Artifact:
        """A version on the local disk, its digests verified; raises as `Repository.open`."""
        return self._repository.open(self.name, version)

    def _only_name(self) -> str:
        names = self._repository.names()
        if len(names) != 1:
            raise SettingsError(
                f"Wrong settings: SEQRISK_MODEL: Expected the name of a model, or a repository with exactly one. "
                f"Received: no name, and {', '.join(names) or 'no model'} in {self._repository.url}."
            )
        return names[0]
