import shutil
from pathlib import Path

import pytest

from models.repository import DigestError, Repository
from service.settings import Settings, SettingsError
from service.source import FetchError, Source


def source(repository: Path, **chosen: object) -> Source:
    return Source(Settings.model_validate({"repository": str(repository), **chosen}))


def test_the_only_model_is_served_without_a_name(repository: Path) -> None:
    found = source(repository)

    assert (found.name, found.versions(), found.open(1).manifest.version) == ("tiny", [1], 1)


def test_versions_that_come_and_go_are_seen(shelf: Path, tmp_path: Path) -> None:
    found = source(shelf.parent)
    moved = tmp_path / "3"

    (shelf / "3").rename(moved)
    without = found.versions()
    moved.rename(shelf / "3")

    assert (without, found.versions()) == ([1, 2], [1, 2, 3])


def test_a_changed_file_changes_the_fingerprint_and_is_refused(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository, tmp_path, dirs_exist_ok=True)
    version = tmp_path / "tiny" / "1"
    found = source(tmp_path)
    before = found.fingerprint(1)

    (version / "saved_model.pb").write_bytes(b"changed")

    assert found.fingerprint(1) != before
    with pytest.raises(DigestError, match=r"saved_model\.pb"):
        found.open(1)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"model": "other"}, r"SEQRISK_MODEL .* a model named 'other' .* models tiny"),
        ({"version": 3}, r"SEQRISK_VERSION: .* version 3 of 'tiny' .* versions \[1\]"),
    ],
)
def test_what_is_not_there_is_named(repository: Path, chosen: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        source(repository, **chosen)


def test_no_name_and_no_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no model in"):
        source(tmp_path)


@pytest.mark.parametrize(
    ("poll_seconds", "way_out"), [(10, "The next look at the repository"), (0, "Restart the service")]
)
def test_a_version_that_cannot_be_fetched_says_what_comes_next(
    repository: Path, monkeypatch: pytest.MonkeyPatch, poll_seconds: float, way_out: str
) -> None:
    found = source(repository, poll_seconds=poll_seconds)

    def fail(*_: object) -> None:
        raise OSError("reset")

    monkeypatch.setattr(Repository, "open", fail)
    with pytest.raises(FetchError, match=rf"OSError: reset\. {way_out}"):
        found.open(1)
