"""Storage: the filesystem that a repository is kept on, a disk or whatever else fsspec opens."""

import os
from pathlib import Path, PurePosixPath

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import tokenize


class Storage:
    """A filesystem looked at as it is at that moment: a look that fails raises, and never means that nothing is there.

    Args:
        url: A path, or any fsspec URL.

    Attributes:
        files: The fsspec filesystem.
        root: The path that `url` is on it.
        is_local: Whether it is a disk of this machine.

    Raises:
        ImportError: fsspec lacks what it opens such a URL with.
        ValueError: It opens no such URL.
    """

    def __init__(self, url: str) -> None:
        self.files, root = url_to_fs(url)
        self.root = PurePosixPath(root)
        self.is_local = isinstance(self.files, LocalFileSystem)

    def children(self, directory: PurePosixPath) -> list[str]:
        """Names in a directory, sorted; none if there is no such directory."""
        # A listing cache would hide what other processes publish.
        self.files.invalidate_cache()
        # Not isdir: to fsspec, a directory that cannot be looked at just now is none.
        try:
            paths = self.files.ls(str(directory), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(PurePosixPath(str(path)).name for path in paths)

    def has(self, path: PurePosixPath) -> bool:
        """Whether something is there."""
        # Not exists: to fsspec, what cannot be looked at just now does not exist.
        try:
            self.files.info(str(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def fingerprint(self, directory: PurePosixPath) -> str:
        """A digest of names, sizes and times of the files below: another one means that a file has changed."""
        self.files.invalidate_cache()
        return str(tokenize(self.files.find(str(directory), detail=True)))

    def move_in(self, staged: Path, target: PurePosixPath, last: str) -> bool:
        """Move a local directory to `target`; False if that is taken.

        Args:
            staged: The directory. A remote filesystem gets a copy.
            target: Its new path; on a disk, a neighbour.
            last: The file that is written after all others, where they cannot all appear at once.
        """
        if self.is_local:
            return _rename(staged, Path(str(target)))
        if self.has(target) or not self._claim(target):
            return False
        paths = sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file())
        for path in sorted(paths, key=lambda path: path == last):
            self.files.makedirs(str((target / path).parent), exist_ok=True)
            self.files.put_file(str(staged / path), str(target / path))
        return True

    def _claim(self, target: PurePosixPath) -> bool:
        """Whether `target` is ours to write, and nobody else's from now on.

        Of those who ask at the same time one can create the empty file beside it, `.NAME.claim`, which stays: what was
        removed is not published again under the same number.
        """
        claim = target.with_name(f".{target.name}.claim")
        self.files.makedirs(str(claim.parent), exist_ok=True)
        try:
            self.files.pipe_file(str(claim), b"", mode="create")
        except FileExistsError:
            return False
        except OSError:
            # Stores say it in words of their own, or that they cannot tell whose attempt it is: look who has it.
            self.files.invalidate_cache()
            if self.has(claim):
                return False
            raise
        return True


def _rename(staged: Path, target: Path) -> bool:
    for entry in (staged, *staged.rglob("*")):
        _flush(entry)
    try:
        staged.chmod(0o755)
        staged.rename(target)
    except OSError:
        if not target.exists():
            raise
        return False
    _flush(target.parent)
    return True


def _flush(path: Path) -> None:
    """Force a file, or a directory's list of files, to the disk: a rename must not publish what is not there yet."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
