import os
import time
from pathlib import Path, PurePosixPath
from uuid import uuid4

import fsspec
import pytest

from models.downloads import Downloads


@pytest.fixture
def source() -> PurePosixPath:
    """Version 3 of a model in a remote repository."""
    source = PurePosixPath(f"/{uuid4().hex}/card-fraud/3")
    fsspec.filesystem("memory").pipe({f"{source}/manifest.json": b"{}", f"{source}/variables/weights": b"weights"})
    return source


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    return Downloads(tmp_path, fsspec.filesystem("memory"))


def test_a_version_is_fetched_whole_and_once(downloads: Downloads, source: PurePosixPath, tmp_path: Path) -> None:
    copy = downloads.fetch(source, "card-fraud", 3)
    (copy / "mark").touch()

    assert copy == tmp_path / "card-fraud" / "3"
    assert (copy / "variables" / "weights").read_bytes() == b"weights"
    assert downloads.fetch(source, "card-fraud", 3) == copy
    assert (copy / "mark").exists()


def test_a_version_with_another_manifest_is_fetched_afresh(downloads: Downloads, source: PurePosixPath) -> None:
    copy = downloads.fetch(source, "card-fraud", 3)
    (copy / "mark").touch()

    fsspec.filesystem("memory").pipe(f"{source}/manifest.json", b"{ }")

    assert not (downloads.fetch(source, "card-fraud", 3) / "mark").exists()


def test_a_failed_download_leaves_nothing(downloads: Downloads, source: PurePosixPath, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        downloads.fetch(source / "nowhere", "card-fraud", 4)

    assert [*tmp_path.rglob("*")] == []


def test_only_versions_that_are_not_kept_are_removed(downloads: Downloads, tmp_path: Path) -> None:
    model = tmp_path / "card-fraud"
    for name in ("1", "2", "10", "notes", ".download-x"):
        (model / name).mkdir(parents=True)
        (model / name / "file").touch()
    (tmp_path / "other" / "1").mkdir(parents=True)

    downloads.prune("card-fraud", {2})

    assert {path.name for path in model.iterdir()} == {"2", "notes", ".download-x"}
    assert (tmp_path / "other" / "1").exists()


def test_what_a_killed_process_left_behind_goes_after_a_day(downloads: Downloads, tmp_path: Path) -> None:
    for name, age_seconds in ((".download-old", 90_000), (".removed-old", 90_000), (".download-new", 60)):
        (tmp_path / "card-fraud" / name).mkdir(parents=True)
        then = time.time() - age_seconds
        os.utime(tmp_path / "card-fraud" / name, (then, then))

    downloads.prune("card-fraud", set())

    assert [path.name for path in (tmp_path / "card-fraud").iterdir()] == [".download-new"]


def test_a_copy_that_another_process_has_removed_is_no_error(downloads: Downloads, tmp_path: Path) -> None:
    (tmp_path / "card-fraud").mkdir()

    downloads.remove("card-fraud", 3)

    assert [*(tmp_path / "card-fraud").iterdir()] == []


def test_there_is_nothing_to_prune_before_the_first_download(downloads: Downloads, tmp_path: Path) -> None:
    downloads.prune("card-fraud", set())

    assert [*tmp_path.iterdir()] == []
