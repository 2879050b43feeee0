import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from models.manifest import Draft, Manifest, ManifestError


@pytest.fixture
def manifest(draft: Draft) -> Manifest:
    created_at = datetime(2026, 1, 1, tzinfo=UTC)
    return Manifest.of(draft, version=3, created_at=created_at, files={"saved_model.pb": "a" * 64})


def changed(manifest: Manifest, path: Path, **fields: object) -> Path:
    """Write `manifest` with some fields replaced, or left out where the new value is None."""
    content = json.loads(manifest.to_json()) | fields
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    return path


def test_a_manifest_survives_writing_and_reading(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(manifest.to_json())

    assert Manifest.read(path) == manifest


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json.*no such file"):
        Manifest.read(tmp_path / "manifest.json")


@pytest.mark.parametrize("field", sorted(name for name, field in Manifest.model_fields.items() if field.is_required()))
def test_a_missing_field_is_named(manifest: Manifest, tmp_path: Path, field: str) -> None:
    path = changed(manifest, tmp_path / "manifest.json", **{field: None})

    with pytest.raises(ManifestError, match=f"{field}: Field required"):
        Manifest.read(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("surprise", 1, "surprise: Extra inputs are not permitted"),
        ("format_version", 2, "format_version: Input should be 1"),
        ("max_events", "50", "max_events: Input should be a valid integer"),
        ("version", 0, "version: Input should be greater than or equal to 1"),
        ("name", "../escape", "name: String should match pattern"),
        ("created_at", "2026-01-01T00:00:00", "created_at: Input should have timezone info"),
        ("vocabulary", ["pay", "pay"], "each event type once"),
        ("vocabulary", ["pay", "refund"], "a share for exactly the event types"),
        ("inputs", [], "`event_ids` and `elapsed_minutes` among `inputs`"),
        ("bands", [{"name": "high", "lower_risk": 0.5}], "`bands` to start at 0"),
        ("golden_examples", [], "golden_examples: Tuple should have at least 1 item"),
        ("files", {"saved_model.pb": "short"}, r"files\.saved_model\.pb: String should match"),
    ],
)
def test_what_breaks_the_schema_is_refused(
    manifest: Manifest, tmp_path: Path, field: str, value: object, message: str
) -> None:
    path = changed(manifest, tmp_path / "manifest.json", **{field: value})

    with pytest.raises(ManifestError, match=message):
        Manifest.read(path)


AMOUNT = {"name": "amount", "kind": "numeric", "per": "event", "unit": "EUR", "default": 0}


def test_a_manifest_from_before_further_inputs_has_none(manifest: Manifest, tmp_path: Path) -> None:
    path = changed(manifest, tmp_path / "manifest.json", further_inputs=None)

    assert Manifest.read(path).further_inputs == ()


def test_golden_examples_hold_the_further_inputs(manifest: Manifest, tmp_path: Path) -> None:
    example = json.loads(manifest.golden_examples[0].model_dump_json()) | {"further": {"amount": [3, 1.5]}}

    path = changed(manifest, tmp_path / "manifest.json", further_inputs=[AMOUNT], golden_examples=[example])

    assert Manifest.read(path).golden_examples[0].further == {"amount": (3, 1.5)}


@pytest.mark.parametrize(
    ("inputs", "further", "message"),
    [
        ([AMOUNT, AMOUNT], {"amount": [3, 1.5]}, "each name once in `further_inputs`"),
        ([AMOUNT], {"amount": [3]}, "as many values as events"),
        ([AMOUNT], {"amount": 3}, "every golden example to hold exactly"),
        ([AMOUNT], {}, "every golden example to hold exactly"),
        ([], {"amount": [3, 1.5]}, "every golden example to hold exactly"),
        ([{**AMOUNT, "name": "event_ids"}], {}, "which every model has"),
    ],
)
def test_further_inputs_that_golden_examples_contradict_are_refused(
    manifest: Manifest, tmp_path: Path, inputs: list[Any], further: dict[str, Any], message: str
) -> None:
    example = json.loads(manifest.golden_examples[0].model_dump_json()) | {"further": further}

    path = changed(manifest, tmp_path / "manifest.json", further_inputs=inputs, golden_examples=[example])

    with pytest.raises(ManifestError, match=message):
        Manifest.read(path)


def test_text_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text("{")

    with pytest.raises(ManifestError, match="Invalid JSON"):
        Manifest.read(path)


def test_nan_is_no_figure(draft: Draft) -> None:
    content = draft.model_dump()
    content["evaluation"]["metrics"][0]["value"] = float("nan")

    with pytest.raises(ValidationError, match="finite number"):
        Draft(**content)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("length_quantiles", {"levels": (0.5, 0.9), "values": (4.0,)}),
        ("length_quantiles", {"levels": (0.9, 0.5), "values": (4.0, 9.0)}),
        ("risk_histogram", {"edges": (0.0, 1.0), "shares": (0.5, 0.5)}),
        ("risk_histogram", {"edges": (0.0, 0.0, 1.0), "shares": (0.5, 0.5)}),
    ],
)
def test_misaligned_statistics_are_refused(draft: Draft, part: str, value: dict[str, Any]) -> None:
    content = draft.model_dump()
    content["reference"][part] = value

    with pytest.raises(ValidationError, match="Expected"):
        Draft(**content)
