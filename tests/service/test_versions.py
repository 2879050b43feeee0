from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.further_inputs import FurtherInput
from models.manifest import Manifest
from service.versions import Versions, VersionStatus, objection
from tests.service.live_models import manifest
from tests.service.told_models import AGE, AMOUNT, required

NUMBERS = st.integers(1, 9)


def unchanged(_: int) -> str:
    return "unchanged"


def versions(*available: int, refused: tuple[int, ...] = (), policy: int | None = None) -> Versions:
    versions = Versions("latest" if policy is None else policy, None)
    versions.update(available, unchanged)
    for version in refused:
        versions.refuse(version, "wrong", "unchanged")
    return versions


@pytest.mark.parametrize(
    ("available", "refused", "champion", "wanted"),
    [
        ((1, 2, 3), (), None, 3),
        ((1, 2, 3), (3,), None, None),
        ((), (), None, None),
        ((1, 2, 3), (), 2, 3),
        ((1, 2, 3), (3,), 2, 2),
        ((1, 2, 3), (3,), 1, 2),
        ((1, 2), (), 3, 2),
        ((1, 2), (2,), 3, 1),
        ((1,), (1,), 3, 3),
        ((), (), 3, 3),
    ],
)
def test_the_newest_version_is_wanted_and_a_champion_stays_where_it_is_refused(
    available: tuple[int, ...], refused: tuple[int, ...], champion: int | None, wanted: int | None
) -> None:
    assert versions(*available, refused=refused).wanted(champion) == wanted


@given(st.sets(NUMBERS), st.sets(NUMBERS), st.none() | NUMBERS)
def test_a_refused_version_is_never_wanted_anew(available: set[int], refused: set[int], champion: int | None) -> None:
    wanted = versions(*available, refused=tuple(refused)).wanted(champion)

    assert wanted == champion or wanted in available - refused


@given(st.sets(NUMBERS), NUMBERS, st.none() | NUMBERS)
def test_a_pinned_version_never_moves(available: set[int], pinned: int, champion: int | None) -> None:
    wanted = versions(*available, policy=pinned).wanted(pinned if champion else None)

    assert wanted == (pinned if champion or pinned in available else None)


def test_a_refused_version_gets_another_chance_when_its_files_change() -> None:
    known = versions(1, 2, refused=(2,))

    known.update([1, 2], unchanged)
    still_refused = known.wanted(1)
    known.update([1, 2], lambda version: f"changed {version}")

    assert (still_refused, known.wanted(1)) == (1, 2)


def test_a_refused_version_gets_another_chance_after_it_was_away() -> None:
    known = versions(1, 2, refused=(2,))

    known.update([1], unchanged)
    newest_refused = known.newest_refused
    known.update([1, 2], unchanged)

    assert (newest_refused, known.wanted(1)) == (0, 2)


def test_files_are_kept_of_versions_in_the_repository_loaded_or_pinned() -> None:
    following, pinned = Versions("latest", None), Versions(3, 4)
    for known in (following, pinned):
        known.update([1, 2], unchanged)

    assert following.kept([2, 9]) == {1, 2, 9}
    assert pinned.kept([]) == {1, 2, 3, 4}


def test_says_of_each_version_what_it_does_and_why(repository: Path) -> None:
    manifest = Manifest.read(repository / "tiny" / "1" / "manifest.json")
    known = Versions("latest", challenger=9)
    known.update([2, 3, 4, 5], unchanged)
    known.refuse(4, "a changed file", "unchanged")

    told = known.statuses(manifest.model_copy(update={"version": 3}), None, VersionStatus(5, "loading", "Compiling."))

    assert told == [
        VersionStatus(2, "available", ""),
        VersionStatus(3, "champion", ""),
        VersionStatus(4, "refused", "a changed file"),
        VersionStatus(5, "loading", "Compiling."),
        VersionStatus(9, "refused", "Expected it in the repository. Received: no such version."),
    ]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({}, ""),
        ({"max_elapsed_minutes": 200_000.0}, ""),
        ({"max_events": 4}, ""),
        ({"max_events": 16}, ""),
        ({"max_elapsed_minutes": 50_000.0}, "Received: at most 50000"),
        ({"scores_between_events": False}, "scores between events"),
    ],
)
def test_a_challenger_must_take_all_that_the_champion_takes(
    repository: Path, limits: dict[str, object], reason: str
) -> None:
    manifest = Manifest.read(repository / "tiny" / "1" / "manifest.json")
    champion = manifest.model_copy(update={"scores_between_events": True})
    challenger = champion.model_copy(update={"version": 2, **limits})

    assert reason in objection(champion, challenger)
    assert bool(reason) == bool(objection(champion, challenger))
    told = Versions("latest", 2).statuses(champion, challenger, None)
    assert told[1] == VersionStatus(2, "challenger", objection(champion, challenger))


@pytest.mark.parametrize(
    ("of_champion", "of_challenger", "is_comparable"),
    [
        ([], [AGE], True),
        ([], [required(AGE)], False),
        ([required(AGE)], [required(AGE)], True),
        ([required(AGE)], [AGE], True),
        ([AGE], [required(AGE)], False),
        ([AGE], [], True),
        ([AMOUNT], [AMOUNT.model_copy(update={"per": "sequence"})], False),
        ([AMOUNT], [AMOUNT.model_copy(update={"unit": "another one"})], False),
    ],
)
def test_a_challenger_must_do_with_what_the_champion_is_told(
    of_champion: list[FurtherInput], of_challenger: list[FurtherInput], is_comparable: bool
) -> None:
    champion, challenger = (
        manifest().model_copy(update={"further_inputs": tuple(inputs)}) for inputs in (of_champion, of_challenger)
    )

    assert bool(objection(champion, challenger)) != is_comparable
