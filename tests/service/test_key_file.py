import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from service.key_file import KeyFile
from service.keys import Key, line_of, new_key
from service.metrics import Metrics
from service.settings import SettingsError

LOOK_SECONDS = 0.01
FIRST, SECOND = new_key(), new_key()


def _changes(metrics: Metrics, result: str) -> float:
    return metrics.registry.get_sample_value("seqrisk_key_file_changes_total", {"result": result}) or 0.0


def _follow(file: KeyFile, metrics: Metrics, *steps: Callable[[], object]) -> list[list[str]]:
    """Names as they were told of, after changes that are each waited for."""
    told: list[list[str]] = []

    def take(keys: Mapping[str, Key]) -> None:
        told.append(sorted(keys))

    def num_changes() -> float:
        return _changes(metrics, "taken") + _changes(metrics, "refused")

    async def follow() -> None:
        following = asyncio.create_task(file.follow(take, LOOK_SECONDS))
        for number, step in enumerate(steps, start=1):
            step()
            async with asyncio.timeout(30):
                while num_changes() < number:  # noqa: ASYNC110  nobody is told of a refusal
                    await asyncio.sleep(LOOK_SECONDS)
        following.cancel()

    asyncio.run(follow())
    return told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text(line_of("first", FIRST))
    return path


def test_keys_come_and_go_with_the_file(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    file = KeyFile(path, metrics)
    both = f"{line_of('first', FIRST)}\n{line_of('second', SECOND)}"

    with caplog.at_level(logging.INFO):
        told = _follow(file, metrics, lambda: path.write_text(both), lambda: path.write_text(line_of("second", SECOND)))

    assert told == [["first", "second"], ["second"]]
    assert sorted(file.keys) == ["second"]
    assert "New: none. Gone: first." in caplog.text


def test_the_links_that_kubernetes_exchanges_are_followed(tmp_path: Path) -> None:
    """A mounted Secret: the file is a link through `..data`, which is replaced by a rename."""
    for name, key in (("..1", FIRST), ("..2", SECOND)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys.toml").write_text(line_of("team", key))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "keys.toml").symlink_to("..data/keys.toml")
    metrics = Metrics()
    file = KeyFile(tmp_path / "keys.toml", metrics)
    before = file.keys["team"].sha256

    def exchange() -> None:
        (tmp_path / "..data_tmp").symlink_to("..2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    assert _follow(file, metrics, exchange) == [["team"]]
    assert file.keys["team"].sha256 != before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("first = {"),
        lambda path: path.write_text(""),
        lambda path: path.write_text(line_of("first", SECOND) + "\nx = 1"),
        lambda path: path.write_text("first = " + "9" * 5_000),
        lambda path: path.write_bytes(b"#" * 2_000_000),
        lambda path: path.unlink(),
    ],
    ids=["cut short", "empty", "a wrong entry", "a long number", "too long", "gone"],
)
def test_a_broken_file_changes_nothing_until_it_is_repaired(
    path: Path, spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    file = KeyFile(path, metrics)

    told = _follow(file, metrics, lambda: spoil(path), lambda: path.write_text(line_of("second", SECOND)))

    assert told == [["second"]]
    assert (_changes(metrics, "refused"), _changes(metrics, "taken")) == (1, 1)
    assert "the former 1 keys hold" in caplog.text


def test_a_file_that_is_still_being_written_is_not_taken_up(path: Path) -> None:
    metrics = Metrics()
    file = KeyFile(path, metrics)
    looks = 0
    real_look = file._look

    def look() -> bytes | str:
        nonlocal looks
        looks += 1
        seen = real_look()
        # Ever longer until the fifth look: as if somebody wrote line by line.
        if looks < 5:
            path.write_text(line_of("first", FIRST) + "\n" * looks)
        return seen

    file._look = look  # type: ignore[method-assign]
    _follow(file, metrics, lambda: None)

    assert _changes(metrics, "taken") == 1
    assert looks >= 6


@pytest.mark.parametrize("content", [None, "", "first = 1"])
def test_at_the_start_a_broken_file_is_refused_by_the_name_of_its_setting(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "keys.toml"
    if content is not None:
        path.write_text(content)

    with pytest.raises(SettingsError, match=r"SEQRISK_API_KEYS_FILE: .*keys\.toml"):
        KeyFile(path, Metrics())


def test_keys_that_cannot_be_taken_up_are_refused_and_the_file_is_still_followed(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    file = KeyFile(path, metrics)

    async def follow() -> None:
        def take(keys: Mapping[str, Key]) -> None:
            if "second" in keys:
                raise LookupError(SECOND)

        following = asyncio.create_task(file.follow(take, LOOK_SECONDS))
        for name, result in (("second", "refused"), ("third", "taken")):
            await asyncio.to_thread(path.write_text, line_of(name, SECOND))
            async with asyncio.timeout(30):
                while not _changes(metrics, result):  # noqa: ASYNC110  nobody is told of a refusal
                    await asyncio.sleep(LOOK_SECONDS)
        following.cancel()

    asyncio.run(follow())

    assert sorted(file.keys) == ["third"]
    assert "LookupError" in caplog.text
    assert SECOND not in caplog.text
