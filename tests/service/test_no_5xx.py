"""The proof that nothing sent makes the service fail, in short."""

from pathlib import Path

from tests.proofs import prove_no_5xx


def test_nothing_sent_makes_the_service_fail(repository: Path) -> None:
    numbers = {"num_bodies": 500, "num_messages": 500, "num_examples": 3}
    rows = prove_no_5xx.prove(repository, **numbers, phases="examples,fuzzing", max_batch=4)

    assert [row for row in rows if not row.is_reached] == []
