"""The file of keys, followed while the service runs."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from service.keys import Key, KeysError, read_keys
from service.metrics import Metrics
from service.settings import SettingsError

# A change holds once two looks have seen it, so that a file which is just being written is not taken for a short one.
LOOK_SECONDS = 0.5

_MAX_BYTES = 1_000_000

logger = logging.getLogger(__name__)


class KeyFile:
    """The keys of a file, and whatever they become.

    Each look reads the whole file, some kilobytes, beside the event loop. That holds for every way in which files
    change, Kubernetes' exchanged links to mounted Secrets and a second change within the clock's grain among them.

    Args:
        path: Of the file.
        metrics: Where changes are counted.

    Attributes:
        keys: By name.

    Raises:
        SettingsError: The file is not right at the start.
    """

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self._path = path
        self._metrics = metrics
        try:
            self._known = _read(path)
            self.keys: Mapping[str, Key] = read_keys(self._known)
        except (OSError, KeysError) as error:
            raise SettingsError(f"Wrong settings: SEQRISK_API_KEYS_FILE: {_told(path, error)}") from error

    async def follow(self, take: Callable[[Mapping[str, Key]], None], look_seconds: float = LOOK_SECONDS) -> None:
        """Tell `take` of all keys whenever they change, until cancelled. What is wrong with a file changes nothing."""
        seen: bytes | str = self._known
        decided: bytes | str = seen
        while True:
            await asyncio.sleep(look_seconds)
            before, seen = seen, await asyncio.to_thread(self._look)
            if seen == decided or seen != before:
                continue
            decided = seen
            try:
                keys = self._keys_of(seen)
                take(keys)
            # Whatever it is: who no longer follows the file would let revoked keys in for ever.
            except Exception as error:
                self._metrics.key_file_changes.labels("refused").inc()
                told = str(error) if isinstance(error, KeysError) else f"Received: {type(error).__name__}."
                logger.error("The file of keys is refused, and the former %d keys hold. %s", len(self.keys), told)  # noqa: TRY400  no trace: it would show the file
                continue
            self._metrics.key_file_changes.labels("taken").inc()
            new, gone = keys.keys() - self.keys.keys(), self.keys.keys() - keys.keys()
            logger.info("Keys: %d. New: %s. Gone: %s.", len(keys), _names(new), _names(gone))
            self.keys = keys

    def _look(self) -> bytes | str:
        """The content of the file, or why there is none."""
        try:
            return _read(self._path)
        except (OSError, KeysError) as error:
            return _told(self._path, error)

    def _keys_of(self, seen: bytes | str) -> dict[str, Key]:
        if isinstance(seen, str):
            raise KeysError(seen)
        return read_keys(seen)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise KeysError(f"Expected at most {_MAX_BYTES} bytes. Received: more.")
    return content


def _told(path: Path, error: OSError | KeysError) -> str:
    if isinstance(error, OSError):
        return f"Expected a file that can be read. Received: {path}, {error.strerror}."
    return f"{path}: {error}"


def _names(group: AbstractSet[str]) -> str:
    return ", ".join(sorted(group)) or "none"
