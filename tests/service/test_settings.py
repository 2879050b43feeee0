import re
from pathlib import Path

import pytest

from models.manifest import MODEL_NAME_RULE
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


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SEQRISK_PORT", "abc", "Expected an integer. Received: 'abc'."),
        ("SEQRISK_PORT", "70000", "Expected at most 65535. Received: '70000'."),
        ("SEQRISK_REQUEST_TIMEOUT_SECONDS", "0", "Expected more than 0. Received: '0'."),
        ("SEQRISK_POLL_SECONDS", "often", "Expected a number. Received: 'often'."),
        ("SEQRISK_VERSION", "newest", "Expected 'latest' or an integer. Received: 'newest'."),
        ("SEQRISK_DEVICE", "tpu", "Expected 'auto', 'cpu' or 'gpu'. Received: 'tpu'."),
        (
            "SEQRISK_MODEL",
            "My Model",
            f"Expected {MODEL_NAME_RULE}. Received: 'My Model'.",
        ),
        (
            "SEQRISK_CANARY_SHARE",
            "0.5",
            "Expected SEQRISK_CHALLENGER_VERSION with it, or nobody could answer for the canaries. Received: '0.5'.",
        ),
        (
            "SEQRISK_MAX_WAITING_BYTES",
            "7999999",
            (
                "Expected at least SEQRISK_MAX_BODY_BYTES, 8000000, or a body of that length could never wait. "
                "Received: '7999999'."
            ),
        ),
        ("SEQRISK_DOCS", "maybe", "Expected true or false. Received: 'maybe'."),
        (
            "SEQRISK_TLS_KEY_FILE",
            "key.pem",
            "Expected SEQRISK_TLS_CERTIFICATE_FILE and this one, or neither. Received: 'key.pem'.",
        ),
        (
            "SEQRISK_TRACING_ENDPOINT",
            "collector:4318",
            "Expected a URL such as http://collector:4318/v1/traces. Received: 'collector:4318'.",
        ),
    ],
)
def test_a_bad_value_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refusal:
        Settings.from_environment()

    assert str(refusal.value) == f"Wrong settings: {name}: {sentence}"


def test_every_bad_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQRISK_PORT", "abc")
    monkeypatch.setenv("SEQRISK_SLOTS", "0")

    with pytest.raises(SettingsError, match=r"SEQRISK_PORT: .* 'abc'\. SEQRISK_SLOTS: Expected at least 1\. .* '0'\.$"):
        Settings.from_environment()


def test_a_challenger_is_another_version_than_the_one_that_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQRISK_VERSION", "3")
    monkeypatch.setenv("SEQRISK_CHALLENGER_VERSION", "3")

    with pytest.raises(
        SettingsError, match="SEQRISK_CHALLENGER_VERSION: Expected another version than SEQRISK_VERSION"
    ):
        Settings.from_environment()


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("SEQRISK_MAX_BODY_BYTES", "SEQRISK_MAX_WAITING_BYTES"),
        ("SEQRISK_MAX_SEQUENCES", "SEQRISK_MAX_WAITING_SEQUENCES"),
    ],
)
def test_what_may_wait_holds_the_largest_request_where_it_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, name: str, beside: str
) -> None:
    monkeypatch.setenv(name, "100000" if name.endswith("SEQUENCES") else "40000000")

    with pytest.raises(SettingsError, match=f"{beside}: Expected at least {name}"):
        Settings.from_environment()


def test_a_certificate_needs_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQRISK_TLS_CERTIFICATE_FILE", "certificate.pem")

    with pytest.raises(SettingsError, match=r"SEQRISK_TLS_KEY_FILE: .* Received: nothing\."):
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


def test_vertex_ai_decides_where_it_sends_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "AIP_HTTP_PORT": "9090",
        "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict",
        "AIP_STORAGE_URI": "/models",
    }
    for name, value in {**told, "SEQRISK_PORT": "8080"}.items():
        monkeypatch.setenv(name, value)

    read = Settings.from_environment()

    assert (read.host, read.port, read.repository) == ("0.0.0.0", 9090, "/models")
    assert read.vertex_health_route == told["AIP_HEALTH_ROUTE"]
    assert read.vertex_predict_route == told["AIP_PREDICT_ROUTE"]


def test_an_address_and_a_repository_of_ours_stand_beside_what_a_cloud_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SAGEMAKER_BIND_TO_PORT": "8888",
        "AIP_STORAGE_URI": "gs://bank/models",
        "SEQRISK_HOST": "127.0.0.1",
        "SEQRISK_REPOSITORY": "/opt/ml/model",
    }.items():
        monkeypatch.setenv(name, value)

    read = Settings.from_environment()

    assert (read.host, read.port, read.repository) == ("127.0.0.1", 8888, "/opt/ml/model")


def test_what_a_cloud_says_counts_beside_empty_variables_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SAGEMAKER_BIND_TO_PORT": "8888",
        "AIP_STORAGE_URI": "/models",
        "SEQRISK_HOST": "",
        "SEQRISK_REPOSITORY": "",
    }.items():
        monkeypatch.setenv(name, value)

    read = Settings.from_environment()

    assert (read.host, read.repository) == ("0.0.0.0", "/models")


def test_a_variable_of_ours_in_small_letters_stands_beside_what_a_cloud_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SAGEMAKER_BIND_TO_PORT": "8888",
        "AIP_STORAGE_URI": "/models",
        "seqrisk_host": "127.0.0.2",
        "seqrisk_repository": "/opt/ml/model",
    }.items():
        monkeypatch.setenv(name, value)

    read = Settings.from_environment()

    assert (read.host, read.repository) == ("127.0.0.2", "/opt/ml/model")


@pytest.mark.parametrize(
    ("name", "value"), [("AIP_HTTP_PORT", "http"), ("AIP_HEALTH_ROUTE", "health"), ("AIP_PREDICT_ROUTE", "/{name}")]
)
def test_what_a_cloud_says_wrong_is_refused_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=name):
        Settings.from_environment()
