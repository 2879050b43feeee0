from collections.abc import Callable
from pathlib import Path, PurePosixPath
from uuid import uuid4

import fsspec
import pytest

from models.storage import Storage


@pytest.fixture(params=["local", "remote"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A storage with two files in a directory."""
    storage = Storage(str(tmp_path / "storage") if request.param == "local" else f"memory://{uuid4().hex}")
    storage.files.makedirs(f"{storage.root}/shelf")
    for name in ("b", "a"):
        storage.files.pipe_file(f"{storage.root}/shelf/{name}", name.encode())
    return storage


def stage(storage: Storage, tmp_path: Path) -> Path:
    """A directory to move in; on a disk, a neighbour of what is there."""
    staged = (Path(str(storage.root)) if storage.is_local else tmp_path) / ".staged"
    (staged / "z").mkdir(parents=True)
    (staged / "list").write_bytes(b"list")
    (staged / "z" / "file").write_bytes(b"file")
    return staged


def test_says_what_is_there(storage: Storage) -> None:
    assert storage.children(storage.root / "shelf") == ["a", "b"]
    assert storage.children(storage.root / "shelf" / "a" / "deeper") == []
    assert storage.children(storage.root / "other") == []
    assert storage.has(storage.root / "shelf" / "a")
    assert not storage.has(storage.root / "shelf" / "c")
    assert not storage.has(storage.root / "shelf" / "a" / "deeper")


@pytest.mark.parametrize(("look", "method"), [(Storage.has, "info"), (Storage.children, "ls")])
def test_what_cannot_be_looked_at_just_now_is_not_said_to_be_missing(
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    look: Callable[[Storage, PurePosixPath], object],
    method: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionResetError("in the middle of it")

    monkeypatch.setattr(type(storage.files), method, fail)
    with pytest.raises(ConnectionResetError):
        look(storage, storage.root / "shelf")


def test_a_fingerprint_changes_with_a_file(storage: Storage) -> None:
    first = storage.fingerprint(storage.root / "shelf")
    again = storage.fingerprint(storage.root / "shelf")
    storage.files.pipe_file(f"{storage.root}/shelf/a", b"another")

    assert again == first
    assert storage.fingerprint(storage.root / "shelf") != first


def test_a_directory_is_moved_in_whole(storage: Storage, tmp_path: Path) -> None:
    staged, target = stage(storage, tmp_path), storage.root / "moved"

    assert storage.move_in(staged, target, "list")

    assert storage.files.cat_file(f"{target}/list") == b"list"
    assert storage.files.cat_file(f"{target}/z/file") == b"file"


def test_a_target_that_is_taken_keeps_what_it_has(storage: Storage, tmp_path: Path) -> None:
    staged = stage(storage, tmp_path)

    assert not storage.move_in(staged, storage.root / "shelf", "list")

    assert storage.children(storage.root / "shelf") == ["a", "b"]
    assert (staged / "list").exists()


def test_a_remote_filesystem_gets_the_last_file_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(f"memory://{uuid4().hex}")
    put: list[str] = []
    put_file = type(storage.files).put_file

    def record(files: fsspec.AbstractFileSystem, source: str, target: str) -> None:
        put.append(target.removeprefix(f"{storage.root}/moved/"))
        put_file(files, source, target)

    monkeypatch.setattr(type(storage.files), "put_file", record)
    storage.move_in(stage(storage, tmp_path), storage.root / "moved", "list")

    assert put == ["z/file", "list"]


def test_a_url_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="Protocol not known: nowhere"):
        Storage("nowhere://x")


def test_of_two_who_saw_that_a_place_is_free_one_gets_it(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Storage, "has", lambda *_: False)
    first = stage(storage, tmp_path / "first")
    assert storage.move_in(first, storage.root / "version", last="list")
    second = stage(storage, tmp_path / "second")
    (second / "list").write_bytes(b"another")

    assert not storage.move_in(second, storage.root / "version", last="list")

    assert storage.files.cat_file(f"{storage.root}/version/list") == b"list"
    assert storage.children(storage.root / "version") == ["list", "z"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_store_may_say_in_its_own_words_that_a_number_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    storage = Storage(f"memory://{uuid4().hex}")
    if is_there:
        storage.files.pipe_file(f"{storage.root}/.1.claim", b"")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(22, "At least one of the pre-conditions you specified did not hold")

    monkeypatch.setattr(type(storage.files), "pipe_file", refuse)
    staged = stage(storage, tmp_path)
    if is_there:
        assert not storage.move_in(staged, storage.root / "1", "list")
    else:
        with pytest.raises(OSError, match="pre-conditions"):
            storage.move_in(staged, storage.root / "1", "list")
    assert storage.children(storage.root / "1") == []
