import re
from pathlib import Path

import pytest

from service import settings
from service.settings import Settings, SettingsError

OPERATORS_PAGE = Path(settings.__file__).parent / "README.md"


def test_a_variable_of_the_environment_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQRISK_PORT", "9000")
    monkeypatch.setenv("SEQRISK_VERSION", "3")

    read = Settings.from_environment()

    assert (read.port, read.version) == (9000, 3)


def test_an_empty_variable_leaves_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQRISK_PORT", "")

    assert Settings.from_environment().port == Settings.model_fields["port"].default


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEQRISK_PORT", "eighty"),
        ("SEQRISK_PORT", "70000"),
        ("SEQRISK_VERSION", "newest"),
        ("SEQRISK_VERSION", "0"),
        ("SEQRISK_DEVICE", "tpu"),
        ("SEQRISK_MODEL", "../secrets"),
        ("SEQRISK_MAX_SEQUENCES", "1000000000"),
        ("SEQRISK_MAX_WAITING_SEQUENCES", "10"),
        ("SEQRISK_REQUEST_TIMEOUT_SECONDS", "nan"),
        ("SEQRISK_LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=name):
        Settings.from_environment()


def test_a_remote_repository_needs_a_directory_for_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQRISK_REPOSITORY", "s3://bank/models")

    with pytest.raises(SettingsError, match=r"SEQRISK_CACHE_DIRECTORY: .*downloads from s3://bank/models"):
        Settings.from_environment()


def test_a_misspelt_variable_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQRISK_PROT", "9000")

    with pytest.raises(SettingsError, match="did you mean SEQRISK_PORT"):
        Settings.from_environment()


def test_the_operators_page_lists_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `SEQRISK_(\w+)` \| ([^|]*) \|", OPERATORS_PAGE.read_text(), flags=re.MULTILINE)

    assert [name.lower() for name, _ in rows] == list(Settings.model_fields)
    for name, shown in rows:
        default = Settings.model_fields[name.lower()].default
        if default is not None and name != "REPOSITORY":
            assert shown.strip("` ").replace(",", "") == str(default), name
