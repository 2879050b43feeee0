"""One customer's sequences are answered by one version, seen from outside."""

from pathlib import Path

import httpx
import pytest

from service.challenger import is_canary
from tests.service.conftest import StartService

SHARE = 0.5
IDS = [f"INC{number}" for number in range(12)]
CANARIES = [sequence_id for sequence_id in IDS if is_canary(sequence_id, SHARE)]
OTHERS = [sequence_id for sequence_id in IDS if not is_canary(sequence_id, SHARE)]


def ask(client: httpx.Client, *ids: str | None) -> dict[str, object]:
    sequence = {"event_types": ["Opened/Phone", "New/P3", "New/P3"], "elapsed_minutes": [447, 441, 0]}
    answer = client.post("/v1/score", json={"sequences": [sequence | {"id": sequence_id} for sequence_id in ids]})
    assert answer.status_code == 200, answer.text
    read: dict[str, object] = answer.json()
    return read


def test_a_challenger_answers_for_its_canaries_and_is_compared_over_the_rest(
    shelf: Path, start_service: StartService
) -> None:
    service = start_service(
        SEQRISK_REPOSITORY=str(shelf.parent),
        SEQRISK_VERSION="1",
        SEQRISK_CHALLENGER_VERSION="2",
        SEQRISK_CANARY_SHARE=str(SHARE),
        SEQRISK_POLL_SECONDS="0.1",
        SEQRISK_MAX_BATCH="1",
    )
    service.expect_output(r"(is ready)")
    with httpx.Client(base_url=service.address(), timeout=60) as client:
        while "seqrisk_challenger_ready 1.0" not in client.get("/metrics").text:
            pass

        ours, theirs, mixed = ask(client, *OTHERS, None), ask(client, *CANARIES), ask(client, *IDS, None)
        versions = client.get("/v1/models/tiny").json()["versions"]
        while "seqrisk_challenger_risk_difference_count 0.0" in (metrics := client.get("/metrics").text):
            pass

    assert (ours["version"], theirs["version"], mixed["version"]) == (1, 2, 1)
    assert isinstance(ours["scores"], list)
    assert isinstance(theirs["scores"], list)
    assert isinstance(mixed["scores"], list)
    our_risk, their_risk = ours["scores"][0]["risk"], theirs["scores"][0]["risk"]
    assert our_risk != their_risk
    assert all("version" not in score for score in ours["scores"] + theirs["scores"])
    assert [score["id"] for score in mixed["scores"]] == [*IDS, None]
    for score in mixed["scores"]:
        is_theirs = score["id"] in CANARIES
        assert score["version"] == 1 + is_theirs
        assert score["risk"] == pytest.approx(their_risk if is_theirs else our_risk, abs=1e-6)
    assert [(told["version"], told["state"]) for told in versions] == [
        (1, "champion"),
        (2, "challenger"),
        (3, "available"),
    ]
    assert f"seqrisk_canary_sequences_total {2 * len(CANARIES)}.0" in metrics
