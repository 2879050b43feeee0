"""Tuned configurations: a configuration with a trial's options in place of its own, and as a TOML file.

space_of      what the trials of a configuration draw from
own_options   the options a configuration has already, as a trial would have drawn them
has_effect    whether an option matters beside those drawn before
with_options  a configuration with drawn options
to_toml       a configuration as the text of a file
"""

import json
from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from training import network_config
from training.config import ConfigError, TrainingConfig
from training.search_space import SPACE, Choice, Dimension, Meaning, Space, Value

Options = dict[str, Value]

_SEES_SILENCE = {"log_elapsed", "both"}


def space_of(config: TrainingConfig) -> dict[str, Dimension]:
    """`SPACE` as [tune.space] has it, without what cannot go with the rest of `config`.

    Raises:
        ConfigError: A value is none that the option takes.
    """
    space = dict(SPACE)
    for option, values in config.tune.space.items():
        space[option] = SPACE[option].narrowed(values)
        _check(option, space[option], getattr(config, space[option].section))
    if config.prefixes.between_events:
        # Nothing else tells a network how long ago the last event was.
        time = space["time"]
        words = [word for word in time.words if word in _SEES_SILENCE] if isinstance(time, Choice) else []
        if not words:
            raise ConfigError('Expected "log_elapsed" or "both" in tune.space.time beside prefixes.between_events.')
        space["time"] = time.narrowed(tuple(words))
    if config.prefixes.histories == "whole":
        # No event follows a whole history.
        target = space["auxiliary_target"]
        if not isinstance(target, Choice) or "label" not in target.words:
            raise ConfigError('Expected "label" in tune.space.auxiliary_target beside prefixes.histories = "whole".')
        space["auxiliary_target"] = target.narrowed(("label",))
    return space


def own_options(config: TrainingConfig, space: Space) -> Options:
    """The options of `config` as far as `space` holds their values."""
    own = {option: dim.drawn(getattr(getattr(config, dim.section), option)) for option, dim in space.items()}
    return {option: value for option, value in own.items() if value is not None}


def has_effect(option: str, drawn: Options, space: Space) -> bool:
    """Whether `option` changes anything beside the options drawn before it."""
    return network_config.has_effect(option, _meanings(drawn, space))


def with_options(config: TrainingConfig, drawn: Options, space: Space) -> TrainingConfig:
    """`config` with `drawn` in place of its own options, and without those that they leave without effect."""
    sections = config.model_dump(exclude_unset=True, exclude={"tune"})
    for option, meaning in _meanings(drawn, space).items():
        sections.setdefault(space[option].section, {})[option] = meaning
    network = sections.get("network", {})
    sections["network"] = {
        option: value for option, value in network.items() if network_config.has_effect(option, network)
    }
    return TrainingConfig.model_validate(sections)


def to_toml(config: TrainingConfig, comment: str) -> str:
    """What was set in `config`, below `comment`, as TOML that `TrainingConfig.read` reads."""
    told = config.model_dump(mode="json", exclude_unset=True)
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines += [f"{key} = {_toml(value)}" for key, value in told.items() if not isinstance(value, dict)]
    for section, options in told.items():
        if isinstance(options, dict) and options:
            lines += ["", f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in options.items())]
    return "\n".join(lines) + "\n"


def _check(option: str, dimension: Dimension, section: BaseModel) -> None:
    """Numbers of [tune.space] may lie beyond those of SPACE, but not beyond what the option takes."""
    ends = () if isinstance(dimension, Choice) else (dimension.lowest, dimension.highest)
    for value in ends:
        try:
            type(section).model_validate({option: value})
        except ValidationError as error:
            # Faults of the section as a whole are about options at their defaults.
            of_option = [fault["msg"] for fault in error.errors() if fault["loc"] == (option,)]
            if of_option:
                raise ConfigError(f"tune.space.{option}: {of_option[0]}. Received: {value}.") from error


def _meanings(drawn: Options, space: Space) -> dict[str, Meaning]:
    return {option: space[option].meaning(value) for option, value in drawn.items()}


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    # JSON writes texts, numbers and truth as TOML does, but for the one control character it leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
