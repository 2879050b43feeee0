"""The proofs of tests/proofs in short: whatever is no matter of time must hold here too."""

from pathlib import Path

from models.repository import Repository
from tests.benchmarks.results import Row
from tests.proofs import prove_invariance, prove_overload, prove_probes, prove_sigterm, prove_swaps


def _lost(rows: list[Row]) -> list[Row]:
    """The rows that must be 0 and are not; there are some that must."""
    must_be_none = [row for row in rows if row.target == 0]
    assert must_be_none
    return [row for row in must_be_none if not row.is_reached]


def test_scores_are_the_same_in_any_company_and_reach_their_callers(repository: Path) -> None:
    rows = prove_invariance.prove(repository, num_sequences=400)

    assert [row for row in rows if not row.is_reached] == []


def test_sigterm_under_load_fails_no_request(repository: Path) -> None:
    assert _lost(prove_sigterm.prove(repository, times=1)) == []


def test_swaps_under_load_fail_no_request_and_a_corrupt_version_never_answers(repository: Path) -> None:
    seen = prove_swaps.prove(Repository(repository).open("tiny"), num_swaps=3, corrupt={3})

    assert seen.load.failures == []
    assert seen.corrupt_live == []
    assert {answer.version for answer in seen.load.answers} == {1, 2, 4}


def test_overload_loses_no_request(repository: Path) -> None:
    rows = prove_overload.prove(repository, seconds=2, sequences_a_body=64)

    assert _lost(rows) == []


def test_probes_are_answered_rightly_beside_large_bodies(repository: Path) -> None:
    assert _lost(prove_probes.prove(repository, seconds=0.5)) == []
