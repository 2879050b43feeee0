from pathlib import Path

import httpx

from models.repository import Repository
from service.schemas import ModelAnswer, ModelsAnswer


def test_the_catalogue_tells_what_the_manifest_says(client: httpx.Client, repository: Path) -> None:
    manifest = Repository(repository).open("tiny").manifest

    model = ModelAnswer.model_validate_json(client.get("/v1/models/tiny").content)

    assert (model.name, model.version, model.state, model.reason) == ("tiny", 1, "ready", "")
    assert model.description is not None
    assert model.description.predicts == manifest.predicts
    assert model.description.max_events == manifest.max_events
    assert model.description.max_elapsed_minutes == manifest.max_elapsed_minutes
    assert model.description.vocabulary_size == len(manifest.vocabulary)
    assert model.description.bands == manifest.bands
    assert model.description.evaluation == manifest.evaluation


def test_the_catalogue_tells_what_a_request_may_carry(client: httpx.Client) -> None:
    limits = client.get("/v1/models/tiny").json()["limits"]

    assert (limits["max_body_bytes"], limits["max_sequences"], limits["max_sequence_events"]) == (20_000, 20, 30)


def test_the_served_model_is_listed(client: httpx.Client) -> None:
    listed = ModelsAnswer.model_validate_json(client.get("/v1/models").content)

    assert [model.name for model in listed.models] == ["tiny"]


def test_the_words_of_its_path_come_in_any_case_and_the_name_in_its_own(client: httpx.Client) -> None:
    assert client.get("/V1/Models/tiny").json() == client.get("/v1/models/tiny").json()
    assert client.get("/v1/models/TINY").status_code == 404


def test_another_model_is_unknown(client: httpx.Client) -> None:
    answer = client.get("/v1/models/other")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
