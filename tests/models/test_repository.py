import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from fsspec.core import url_to_fs

from models.manifest import Draft, Manifest, ManifestError
from models.repository import ArtifactNotFoundError, DigestError, Repository, RepositoryError


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def publish(repository: Repository, draft: Draft, graph: bytes = b"graph") -> Manifest:
    with repository.staging(draft.name) as staged:
        (staged / "variables").mkdir()
        (staged / "saved_model.pb").write_bytes(graph)
        (staged / "variables" / "weights").write_bytes(b"weights")
        return repository.publish(staged, draft)


def test_versions_count_up_from_one(repository: Repository, draft: Draft) -> None:
    assert [publish(repository, draft).version for _ in range(3)] == [1, 2, 3]
    assert repository.names() == ["card-fraud"]
    assert repository.versions("card-fraud") == [1, 2, 3]


def test_the_latest_version_is_opened_by_default(repository: Repository, draft: Draft) -> None:
    publish(repository, draft, b"first")
    publish(repository, draft, b"second")

    assert (repository.open("card-fraud").directory / "saved_model.pb").read_bytes() == b"second"
    assert (repository.open("card-fraud", 1).directory / "saved_model.pb").read_bytes() == b"first"


def test_an_empty_or_absent_repository_holds_no_models(tmp_path: Path) -> None:
    assert Repository(tmp_path).names() == []
    assert Repository(tmp_path / "absent").names() == []


def test_an_unknown_model_is_answered_with_the_known_ones(repository: Repository, draft: Draft) -> None:
    publish(repository, draft)

    with pytest.raises(ArtifactNotFoundError, match=r"'other'.*models card-fraud"):
        repository.open("other")


def test_an_unknown_version_is_answered_with_the_known_ones(repository: Repository, draft: Draft) -> None:
    publish(repository, draft)

    with pytest.raises(ArtifactNotFoundError, match=r"version 2 .*versions \[1\]"):
        repository.open("card-fraud", 2)


def test_a_directory_without_a_manifest_is_no_version(repository: Repository, draft: Draft) -> None:
    """A copy still under way must not be served, and its number must not be taken."""
    publish(repository, draft)
    half = repository.open("card-fraud").directory.parent / "2"
    half.mkdir()
    (half / "saved_model.pb").write_bytes(b"half")

    assert repository.versions("card-fraud") == [1]
    assert publish(repository, draft).version == 3
    assert (half / "saved_model.pb").read_bytes() == b"half"


def test_a_changed_byte_is_named(repository: Repository, draft: Draft) -> None:
    publish(repository, draft)
    (repository.open("card-fraud").directory / "variables" / "weights").write_bytes(b"weighty")

    with pytest.raises(DigestError, match=r"SHA-256 .* for variables/weights"):
        repository.open("card-fraud")


def test_a_missing_file_is_named(repository: Repository, draft: Draft) -> None:
    publish(repository, draft)
    (repository.open("card-fraud").directory / "saved_model.pb").unlink()

    with pytest.raises(DigestError, match=r"Expected the file saved_model\.pb"):
        repository.open("card-fraud")


def test_an_added_file_is_named(repository: Repository, draft: Draft) -> None:
    publish(repository, draft)
    (repository.open("card-fraud").directory / "extra.so").write_bytes(b"")

    with pytest.raises(DigestError, match=r"Received also: extra\.so"):
        repository.open("card-fraud")


def test_a_version_under_another_number_is_refused(repository: Repository, draft: Draft) -> None:
    publish(repository, draft)
    directory = repository.open("card-fraud").directory
    directory.rename(directory.parent / "7")

    with pytest.raises(ManifestError, match=r"card-fraud version 7 .* card-fraud version 1"):
        repository.open("card-fraud")


def test_a_failed_build_leaves_nothing(repository: Repository, draft: Draft, tmp_path: Path) -> None:
    def build() -> None:
        with repository.staging(draft.name) as staged:
            (staged / "saved_model.pb").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build()

    assert list((tmp_path / "repository" / "card-fraud").iterdir()) == []


def test_nothing_is_published_from_an_empty_directory(repository: Repository, draft: Draft) -> None:
    with repository.staging(draft.name) as staged, pytest.raises(RepositoryError, match="an empty directory"):
        repository.publish(staged, draft)


def test_a_repository_that_cannot_be_written_to_is_named(draft: Draft, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RepositoryError, match=r"write to the repository .*file"):
        publish(Repository(tmp_path / "file"), draft)


def test_a_url_of_no_known_kind_is_refused() -> None:
    with pytest.raises(RepositoryError, match="Protocol not known: nowhere"):
        Repository("nowhere://x")


def test_publishers_at_the_same_time_get_versions_of_their_own(repository: Repository, draft: Draft) -> None:
    start = threading.Barrier(8)
    published: list[int] = []

    def publisher() -> None:
        start.wait()
        published.append(publish(repository, draft).version)

    threads = [threading.Thread(target=publisher) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(published) == repository.versions("card-fraud") == list(range(1, 9))


def test_a_killed_publisher_leaves_no_version(repository: Repository, draft: Draft, tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from models.repository import Repository
with Repository(sys.argv[1]).staging("card-fraud") as staged:
    (staged / "saved_model.pb").write_bytes(b"half")
    print("staged", flush=True)
    time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", program, str(tmp_path / "repository")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"staged\n"
        process.send_signal(signal.SIGKILL)

    assert repository.versions("card-fraud") == []
    assert publish(repository, draft).version == 1


def test_a_version_keeps_its_fingerprint_until_one_of_its_files_changes(repository: Repository, draft: Draft) -> None:
    publish(repository, draft)
    first = repository.fingerprint("card-fraud", 1)
    directory = repository.open("card-fraud").directory
    opened = repository.fingerprint("card-fraud", 1)

    (directory / "variables" / "weights").write_bytes(b"other weights")

    assert opened == first
    assert repository.fingerprint("card-fraud", 1) != first


class TestRemote:
    """The same promises on a repository that is no local directory."""

    @pytest.fixture
    def remote(self, tmp_path: Path) -> Repository:
        url = f"memory://{uuid4().hex}"
        return Repository(url, cache_directory=tmp_path / "cache")

    def test_a_version_is_published_and_opened(self, remote: Repository, draft: Draft) -> None:
        assert [publish(remote, draft, graph).version for graph in (b"first", b"second")] == [1, 2]
        assert (remote.open("card-fraud", 1).directory / "saved_model.pb").read_bytes() == b"first"
        assert (remote.open("card-fraud").directory / "variables" / "weights").read_bytes() == b"weights"
        assert remote.names() == ["card-fraud"]

    def test_a_changed_download_is_fetched_afresh(self, remote: Repository, draft: Draft) -> None:
        publish(remote, draft)
        (remote.open("card-fraud").directory / "saved_model.pb").write_bytes(b"changed")

        assert (remote.open("card-fraud").directory / "saved_model.pb").read_bytes() == b"graph"

    def test_a_version_that_is_wrong_in_the_repository_is_refused_every_time(
        self, remote: Repository, draft: Draft
    ) -> None:
        publish(remote, draft)
        files, root = url_to_fs(remote.url)
        files.pipe(f"{root}/card-fraud/1/saved_model.pb", b"changed")

        for _ in range(2):
            with pytest.raises(DigestError, match=r"saved_model\.pb"):
                remote.open("card-fraud")

    def test_a_version_replaced_in_the_repository_is_fetched_afresh(self, remote: Repository, draft: Draft) -> None:
        publish(remote, draft)
        remote.open("card-fraud")
        before = remote.fingerprint("card-fraud", 1)

        files, root = url_to_fs(remote.url)
        files.rm(f"{root}/card-fraud/1", recursive=True)
        publish(remote, draft, b"another")

        assert remote.fingerprint("card-fraud", 1) != before
        assert (remote.open("card-fraud").directory / "saved_model.pb").read_bytes() == b"another"

    def test_without_a_cache_directory_nothing_is_downloaded(self, draft: Draft) -> None:
        remote = Repository(f"memory://{uuid4().hex}")
        publish(remote, draft)

        with pytest.raises(RepositoryError, match="a cache directory"):
            remote.open("card-fraud")

    def test_an_unfinished_upload_is_no_version(self, remote: Repository, draft: Draft) -> None:
        publish(remote, draft)
        files, root = url_to_fs(remote.url)
        files.pipe_file(f"{root}/card-fraud/2/saved_model.pb", b"half")

        assert remote.versions("card-fraud") == [1]
        assert publish(remote, draft).version == 3
