"""The served model in its repository.

FetchError    a version could not be fetched
Source        names, versions, files
"""

from collections.abc import Collection

from models.manifest import ManifestError
from models.repository import Artifact, ArtifactNotFoundError, DigestError, Repository
from service.settings import Settings, SettingsError


class FetchError(RuntimeError):
    """A version could not be fetched: a network or a machine in trouble, which says nothing about the version."""


class Source:
    """The served model in its repository, found as the settings say.

    Args:
        settings: Repository, model and version.

    Raises:
        SettingsError: There is no such model or version; or several models, and none is chosen.
    """

    def __init__(self, settings: Settings) -> None:
        self._repository = Repository(settings.repository, settings.cache_directory)
        self._looks_again = settings.poll_seconds > 0
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
        """A version on the local disk, its digests verified.

        Raises:
            ArtifactNotFoundError: It has left the repository.
            ManifestError: Its manifest breaks the schema or describes another model or version.
            DigestError: A file is changed, missing, or not in the manifest.
            FetchError: Anything else; every filesystem has exceptions of its own.
        """
        try:
            return self._repository.open(self.name, version)
        except (ArtifactNotFoundError, ManifestError, DigestError):
            raise
        except Exception as error:
            way_out = "The next look at the repository tries again." if self._looks_again else "Restart the service."
            raise FetchError(
                f"Expected to fetch version {version} of {self.name} from {self._repository.url}. "
                f"Received: {type(error).__name__}: {error}. {way_out}"
            ) from error

    def prune(self, kept: Collection[int]) -> None:
        """Remove downloads of all versions but those in `kept`."""
        self._repository.prune(self.name, kept)

    def _only_name(self) -> str:
        names = self._repository.names()
        if len(names) != 1:
            raise SettingsError(
                f"Wrong settings: SEQRISK_MODEL: Expected the name of a model, or a repository with exactly one. "
                f"Received: no name, and {', '.join(names) or 'no model'} in {self._repository.url}."
            )
        return names[0]
