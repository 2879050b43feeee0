from pathlib import Path

import pytest

from models.manifest import Manifest

ROOT = Path(__file__).parents[1]
ROOMS = ("models", "service", "training")

SOURCES = [
    path.relative_to(ROOT)
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
    if path.name not in {"__init__.py", "__main__.py"}
]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_every_file_has_its_test_at_the_mirrored_path(source: Path) -> None:
    assert (ROOT / "tests" / source.parent / f"test_{source.name}").exists()


def test_the_top_level_holds_the_rooms_and_nothing_else() -> None:
    visible = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))}

    # What `make sbom` writes; git ignores it.
    assert visible - {"dist"} == {"deploy", "tests", *ROOMS}


def test_the_contract_describes_every_field_of_the_manifest() -> None:
    contract = (ROOT / "models" / "README.md").read_text()

    assert [field for field in Manifest.model_fields if f"`{field}`" not in contract] == []
