import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from training.config import ConfigError, TrainingConfig
from training.input_config import InputConfig

MINIMAL = """
name = "churn"
predicts = "this customer will leave"
[data]
path = "log.csv"
"""

README = (Path(__file__).parents[2] / "training" / "README.md").read_text()


def options(schema: type[BaseModel]) -> dict[str, object]:
    """Every option that is no section, with its default."""
    found: dict[str, object] = {}
    for name, field in schema.model_fields.items():
        is_section = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        found |= options(field.annotation) if is_section else {name: field.default}  # type: ignore[arg-type]
    return found


def options_of_files() -> dict[str, object]:
    """Those of every section and table."""
    # A table for each input; what an input is called has no default.
    of_inputs = dict.fromkeys(InputConfig.model_fields)
    return {name: default for name, default in (of_inputs | options(TrainingConfig)).items() if name != "inputs"}


def read(directory: Path, text: str) -> TrainingConfig:
    path = directory / "churn.toml"
    path.write_text(text)
    return TrainingConfig.read(path)


def test_name_question_and_path_are_enough(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL)

    assert config.data.columns == ("sequence_id", "event_type", "timestamp", "label")
    assert config.serving.max_events == 50
    assert [band.lower_risk for band in config.serving.bands] == [0.0, 0.3, 0.6]


def test_an_unknown_key_is_refused_by_name_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"churn\.toml: there is no key fit\.epochs \(did you mean max_epochs\?\)"):
        read(tmp_path, MINIMAL + "[fit]\nepochs = 3\n")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, 'name = "Not A Name"\n[data]\npath = "log.csv"\n[network]\ndropout = 1.5\n')

    message = str(caught.value)
    assert "name: expected 1 to 64 of the characters a to z" in message
    assert "the key predicts is missing" in message
    assert "network.dropout: " in message


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('[serving]\nbands = [{name = "high", lower_risk = 0.5}]', "start at 0"),
        ('[serving]\nbands = [{name = "a", lower_risk = 0.0, colour = "red"}]', "serving.bands.0.colour"),
        ('[serving]\nmax_elapsed_minutes = "long"', "serving.max_elapsed_minutes"),
        ("[prefixes]\nbetween_events = 2", "prefixes.between_events"),
        ('[prefixes]\nlongest = 4\nhistories = "whole"', "never cut short"),
        ("[network]\nnum_labels = 2", r"network.num_labels = 1, one for data.label_column and .* received 2"),
        ('further_label_columns = ["a", "b"]', r"network.num_labels = 3, one for .* received 1"),
        (
            '[network]\nauxiliary_target = "next_event"\n[prefixes]\nhistories = "whole"',
            "no event follows a whole history",
        ),
        (
            'further_label_columns = ["a"]\n[network]\nnum_labels = 2\n[[inputs]]\nname = "a"\nkind = "numeric"',
            "columns that have no other meaning, received a",
        ),
        ("[prefixes]\nbetween_events = 0.5", "how long ago the last event was"),
        ('[split]\ntest_values = ["b"]', r"data\.split_column beside split\.test_values"),
        (
            '[network]\nauxiliary_target = "next_event"\n[fit]\nauxiliary_weight = 0',
            r"fit\.auxiliary_weight above 0 beside network\.auxiliary_target",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_training(tmp_path: Path, section: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, MINIMAL + section)


def test_a_run_may_learn_further_labels_and_what_happens_next(tmp_path: Path) -> None:
    further = 'further_label_columns = ["moved"]\n'
    config = read(tmp_path, MINIMAL + further + '[network]\nnum_labels = 2\nauxiliary_target = "next_event"\n')

    assert config.data.columns == ("sequence_id", "event_type", "timestamp", "label", "moved")
    assert config.network.num_labels == 2


def test_a_file_that_is_missing_or_no_toml_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        TrainingConfig.read(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="Expected TOML"):
        read(tmp_path, "name = ")


def test_the_readme_has_a_row_for_every_option_with_its_default() -> None:
    rows = dict(re.findall(r"^\|.*?`(\w+)` \| `?([^|`]+)`? \|", README, re.MULTILINE))

    expected = options_of_files()

    assert rows.keys() >= expected.keys()
    plain = {name: default for name, default in expected.items() if isinstance(default, int | float | str)}
    in_toml = {name: str(default).lower() if default is False else str(default) for name, default in plain.items()}
    assert {name: rows[name].strip() for name in plain} == in_toml
