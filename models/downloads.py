"""Downloads: local copies of versions in a remote repository."""

import shutil
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PurePosixPath
from time import time
from typing import Any

from models.manifest import MANIFEST_FILE

# No download takes a day.
_LEFT_BEHIND_SECONDS = 86_400


class Downloads:
    """Copies of versions, `<directory>/<name>/<version>/`, each whole or not there; processes may share them.

    Args:
        directory: Where they are kept.
        files: The fsspec filesystem they come from.
    """

    def __init__(self, directory: Path, files: Any) -> None:  # noqa: ANN401  fsspec has no types
        self._directory = directory
        self._files = files

    def fetch(self, source: PurePosixPath, name: str, version: int) -> Path:
        """A copy of the version at `source`: the one there is, unless its manifest is another one by now."""
        target = self._at(name, version)
        manifest = self._files.cat_file(str(source / MANIFEST_FILE))
        if target.exists() and (target / MANIFEST_FILE).read_bytes() != manifest:
            # What was downloaded once has been replaced since, so it was no good.
            self.remove(name, version)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            download = Path(tempfile.mkdtemp(prefix=".download-", dir=target.parent))
            try:
                self._files.get(f"{source}/", f"{download}/", recursive=True)
                download.rename(target)
            except OSError:
                # Another process may have finished the same download first.
                if not target.exists():
                    raise
            finally:
                shutil.rmtree(download, ignore_errors=True)
        return target

    def remove(self, name: str, version: int) -> None:
        """Remove a copy. It goes in one step, so that nobody finds half of it."""
        removed = Path(tempfile.mkdtemp(prefix=".removed-", dir=self._directory / name))
        try:
            # Another process may have been quicker.
            with suppress(FileNotFoundError):
                self._at(name, version).rename(removed / str(version))
        finally:
            shutil.rmtree(removed)

    def prune(self, name: str, kept: Collection[int]) -> None:
        """Remove the copies of all versions of `name` but those in `kept`, and what a process that was killed left."""
        for path in list((self._directory / name).glob(".*-*")):
            if path.stat().st_mtime < time() - _LEFT_BEHIND_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        for path in list((self._directory / name).glob("[1-9]*")):
            if path.name.isdecimal() and int(path.name) not in kept:
                self.remove(name, int(path.name))

    def _at(self, name: str, version: int) -> Path:
        return self._directory / name / str(version)
