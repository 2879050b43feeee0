"""What is known of each version of the served model, and which of them is to answer.

ModelStatus      what is told about the served model
VersionStatus    what is told about one version
Versions         every version in the repository, and those that were refused
objection        why one version cannot be compared with another
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from models.manifest import Manifest
from service.schemas import VersionState
from service.settings import Version


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What can be told about the served model at one moment.

    Attributes:
        name: Its name, once known.
        version: Its version, once known.
        state: `ready` means verified and warm.
        reason: What is being done, or what went wrong; empty when ready.
        manifest: Its manifest, once its files are verified.
    """

    name: str | None
    version: int | None
    state: Literal["loading", "ready", "failed"]
    reason: str
    manifest: Manifest | None


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """What is told about one version.

    Attributes:
        version: Its number.
        state: What it does here; `refused` means that it failed to load or to prove itself.
        reason: Why it was refused or stands aside, or what is being done; else empty.
    """

    version: int
    state: VersionState
    reason: str


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: str
    fingerprint: str


class Versions:
    """Every version in the repository, and those that were refused.

    A refused version gets another chance when any of its files changes, or after it has left the repository. One thread
    writes, any may read.

    Args:
        policy: `latest`, or the version pinned.
        challenger: The version to be compared with the one that answers, if any.
    """

    def __init__(self, policy: Version, challenger: int | None) -> None:
        self._policy = policy
        self._challenger = challenger
        self._available: tuple[int, ...] = ()
        # Never changed but replaced, so that who reads it needs no lock.
        self._refusals: dict[int, _Refusal] = {}

    def update(self, available: Iterable[int], fingerprint: Callable[[int], str]) -> None:
        """Take note of what is in the repository now.

        Args:
            available: Complete versions.
            fingerprint: Of a version's files: another one means that one of them has changed.
        """
        self._available = tuple(sorted(available))
        self._refusals = {
            version: refusal
            for version, refusal in self._refusals.items()
            if version in self._available and fingerprint(version) == refusal.fingerprint
        }

    def refuse(self, version: int, reason: str, fingerprint: str) -> None:
        """Take note that a version failed to load or to prove itself, while its files had this fingerprint."""
        self._refusals = {**self._refusals, version: _Refusal(reason, fingerprint)}

    def wanted(self, champion: int | None) -> int | None:
        """The version that is to answer, which may be the one that does; None if it has been refused or is missing.

        A service that starts takes the newest version or none: it does not go back to an older one by itself. One that
        answers goes on answering whatever is refused, and follows the newest version that is not.

        Args:
            champion: The version that answers; None if none does.
        """
        if self._policy != "latest":
            return champion or (self._policy if self.may_load(self._policy) else None)
        candidates = self._available[-1:] if champion is None else self._available
        return max((version for version in candidates if self.may_load(version)), default=champion)

    def may_load(self, version: int) -> bool:
        """Whether a version is there and not refused."""
        return version in self._available and version not in self._refusals

    def kept(self, loaded: Iterable[int]) -> set[int]:
        """Versions whose files stay on the local disk: those in the repository, pinned or `loaded`."""
        pinned = {version for version in (self._policy, self._challenger) if isinstance(version, int)}
        return {*self._available, *loaded} | pinned

    @property
    def available(self) -> tuple[int, ...]:
        """Complete versions in the repository, ascending."""
        return self._available

    @property
    def newest_refused(self) -> int:
        """The newest version that is refused as it stands; 0 if none is."""
        return max(self._refusals, default=0)

    def statuses(
        self, champion: Manifest | None, challenger: Manifest | None, loading: VersionStatus | None
    ) -> list[VersionStatus]:
        """What is told about every version, ascending.

        Args:
            champion: The version that answers, in the repository or not.
            challenger: The version compared with it.
            loading: The version being loaded.
        """
        available, refusals, wanted = self._available, self._refusals, self._challenger
        told = [VersionStatus(version, "available", "") for version in available]
        told += [VersionStatus(version, "refused", refusal.reason) for version, refusal in refusals.items()]
        if wanted is not None and challenger is None and wanted not in available:
            told.append(VersionStatus(wanted, "refused", "Expected it in the repository. Received: no such version."))
        if challenger is not None:
            reason = "" if champion is None else objection(champion, challenger)
            told.append(VersionStatus(challenger.version, "challenger", reason))
        if loading is not None:
            told.append(loading)
        if champion is not None:
            told.append(VersionStatus(champion.version, "champion", ""))
        # Of one version, what was said last counts.
        last = {status.version: status for status in told}
        return [last[version] for version in sorted(last)]


def objection(champion: Manifest, challenger: Manifest) -> str:
    """Why a challenger cannot score what the champion accepts; empty if it can.

    Their `max_events` may differ. Each version keeps its own latest events of a history; with more than the champion, a
    challenger leaves alone the few histories that hold an event too old for it (`Challenger.canaries`).
    """
    if challenger.max_elapsed_minutes < champion.max_elapsed_minutes:
        return (
            f"Expected a challenger that takes {champion.max_elapsed_minutes:.12g} elapsed minutes, as the champion "
            f"does. Received: at most {challenger.max_elapsed_minutes:.12g}. It stands aside."
        )
    if champion.scores_between_events and not challenger.scores_between_events:
        return (
            "Expected a challenger that scores between events, as the champion does. "
            "Received: one that does not. It stands aside."
        )
    told = {one.name: one for one in champion.further_inputs}
    for one in challenger.further_inputs:
        same = told.get(one.name)
        is_same = same is None or (same.kind, same.per, same.unit) == (one.kind, one.per, one.unit)
        is_there = same is not None and same.default is None
        unit = "" if one.unit is None else f" in {one.unit}"
        if not is_same or (one.default is None and not is_there):
            return (
                f"Expected a challenger that is told what the champion is, or can do without it. Received: one that "
                f"needs the {one.kind} input {one.name} per {one.per}{unit}. It stands aside."
            )
    return ""
