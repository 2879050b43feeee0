"""The repository: where published models live, `<repository>/<name>/<version>/`, on a disk or any fsspec URL.

Artifact     one verified version on the local disk
Repository   names, versions, resolve, fingerprint, open, prune, staging, publish
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from models.downloads import Downloads
from models.manifest import MANIFEST_FILE, MODEL_NAME_PATTERN, Draft, Manifest, ManifestError
from models.storage import Storage


class RepositoryError(RuntimeError):
    """Something about a repository or an artifact in it is not as it must be."""


class ArtifactNotFoundError(RepositoryError):
    """The repository holds no such model or version."""


class DigestError(RepositoryError):
    """A file of an artifact differs from its manifest: changed, missing or added."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One verified version of one model, on the local disk."""

    directory: Path
    manifest: Manifest


class Repository:
    """Published models on a local path or any fsspec URL (`s3://…`, `gs://…`, `memory://…`).

    A version is complete once its manifest is there: everything else of an artifact is written before it.

    Args:
        url: Root of the repository.
        cache_directory: Where versions of a remote repository are downloaded to; not used by a local one.
    """

    def __init__(self, url: str | Path, cache_directory: Path | None = None) -> None:
        self.url = str(url)
        try:
            self._storage = Storage(self.url)
        except (ImportError, ValueError) as error:
            raise RepositoryError(f"Expected a path or a URL that fsspec opens. Received: {url}: {error}.") from error
        self._downloads: Downloads | None = None
        if cache_directory is not None and not self._storage.is_local:
            self._downloads = Downloads(cache_directory, self._storage.files)

    def names(self) -> list[str]:
        """Names of all models with at least one complete version, sorted."""
        return [
            name
            for name in self._storage.children(self._storage.root)
            if re.match(MODEL_NAME_PATTERN, name) and self.versions(name)
        ]

    def versions(self, name: str) -> list[int]:
        """Complete versions of `name`, ascending; empty if there is no such model."""
        return [
            version for version in self._numbers(name) if self._storage.has(self._at(name, version) / MANIFEST_FILE)
        ]

    def resolve(self, name: str, version: int | None = None) -> int:
        """The version meant, by default the latest, if it is there.

        Raises:
            ArtifactNotFoundError: No such model or version.
        """
        if version is None:
            return self._latest(name)
        versions = self.versions(name)
        if version not in versions:
            raise ArtifactNotFoundError(
                f"Expected version {version} of {name!r} in {self.url}. Received: versions {versions}."
            )
        return version

    def fingerprint(self, name: str, version: int) -> str:
        """A digest of names, sizes and times of a version's files: another one means that a file has changed."""
        return self._storage.fingerprint(self._at(name, version))

    def open(self, name: str, version: int | None = None) -> Artifact:
        """Fetch a version (the latest by default) to the local disk and verify every digest.

        Raises:
            ArtifactNotFoundError: No such model or version.
            ManifestError: Its manifest breaks the schema or describes another model or version.
            DigestError: A file is changed, missing, or not in the manifest.
        """
        version = self.resolve(name, version)
        try:
            return self._open_copy(name, version)
        except (ManifestError, DigestError):
            if self._downloads is None:
                raise
            # The fault may lie in the copy, or in a download that was cut short: a second one decides.
            return self._open_copy(name, version)

    def prune(self, name: str, kept: Collection[int]) -> None:
        """Remove downloads of all versions of `name` but those in `kept`; a local repository has none."""
        if self._downloads is not None:
            self._downloads.prune(name, kept)

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """A temporary directory to build a version of `name` in; removed on leaving unless published.

        On a local repository it is a hidden neighbour of the versions, so that publishing is one rename.
        """
        parent = Path(str(self._storage.root / name)) if self._storage.is_local else None
        try:
            if parent is not None:
                parent.mkdir(parents=True, exist_ok=True)
            directory = Path(tempfile.mkdtemp(prefix=".staging-", dir=parent))
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def publish(self, staged: Path, draft: Draft) -> Manifest:
        """Publish what `staged` holds as the next version: all of it or nothing, never over an existing one.

        Args:
            staged: A directory from `staging`; it is moved away.
            draft: Its description; version, time and digests are added here.

        Returns:
            The manifest as published.
        """
        digests = _digests(staged)
        if not digests:
            raise RepositoryError(f"Expected files to publish in {staged}. Received: an empty directory.")
        version = max(self._numbers(draft.name), default=0) + 1
        while True:
            manifest = Manifest.of(draft, version=version, created_at=datetime.now(UTC), files=digests)
            (staged / MANIFEST_FILE).write_bytes(manifest.to_json())
            try:
                if self._storage.move_in(staged, self._at(draft.name, version), last=MANIFEST_FILE):
                    return manifest
            except OSError as error:
                raise self._unwritable(error) from error
            version += 1

    def _unwritable(self, error: OSError) -> RepositoryError:
        return RepositoryError(f"Expected to write to the repository {self.url}. Received: {error}.")

    def _latest(self, name: str) -> int:
        versions = self.versions(name)
        if not versions:
            known = ", ".join(self.names()) or "none"
            raise ArtifactNotFoundError(f"Expected a model named {name!r} in {self.url}. Received: models {known}.")
        return versions[-1]

    def _at(self, name: str, version: int) -> PurePosixPath:
        return self._storage.root / name / str(version)

    def _numbers(self, name: str) -> list[int]:
        """Version numbers taken, complete or not."""
        children = self._storage.children(self._storage.root / name)
        return sorted(int(child) for child in children if re.fullmatch(r"[1-9][0-9]*", child))

    def _open_copy(self, name: str, version: int) -> Artifact:
        directory = self._fetch(name, version)
        try:
            return Artifact(directory, _verified(directory, name, version))
        except (ManifestError, DigestError):
            if self._downloads is not None:
                self._downloads.remove(name, version)
            raise

    def _fetch(self, name: str, version: int) -> Path:
        source = self._at(name, version)
        if self._storage.is_local:
            return Path(str(source))
        if self._downloads is None:
            raise RepositoryError(f"Expected a cache directory for the remote repository {self.url}. Received: none.")
        return self._downloads.fetch(source, name, version)


def _digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every file below `directory` but the manifest, by relative path, sorted."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    named = {path.relative_to(directory).as_posix(): path for path in paths}
    return {name: _sha256(path) for name, path in named.items() if name != MANIFEST_FILE}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verified(directory: Path, name: str, version: int) -> Manifest:
    """The manifest in `directory`, once it and every file are found to be what they claim."""
    manifest = Manifest.read(directory / MANIFEST_FILE)
    if (manifest.name, manifest.version) != (name, version):
        raise ManifestError(
            f"Expected the manifest of {name} version {version} in {directory}. "
            f"Received: that of {manifest.name} version {manifest.version}."
        )
    received = _digests(directory)
    for path in sorted(manifest.files.keys() | received.keys()):
        if path not in received:
            raise DigestError(f"Expected the file {path} in {directory}, as its manifest says. Received: no such file.")
        if path not in manifest.files:
            raise DigestError(f"Expected only the manifest's files in {directory}. Received also: {path}.")
        if received[path] != manifest.files[path]:
            raise DigestError(
                f"Expected SHA-256 {manifest.files[path]} for {path} in {directory}. Received: {received[path]}. "
                "The file changed after it was published; restore it or publish a new version."
            )
    return manifest
