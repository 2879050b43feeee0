from training.config import TrainingConfig
from training.eventlog import EventLog
from training.parts import cut_parts
from training.splits import Split


def test_every_part_becomes_histories_no_longer_than_the_training_period_suggests(
    log: EventLog, split: Split, config: TrainingConfig
) -> None:
    limited = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"longest_prefix": 3})})

    parts = cut_parts(log, split, limited)

    assert parts.training.lengths.max() == split.fit.lengths.max() > 3
    assert [part.lengths.max() for part in (parts.validation, parts.calibration, parts.test)] == [3, 3, 3]
    assert set(parts.vocabulary.event_types) <= set(split.fit.event_types)


def test_a_refit_learns_from_fit_and_validation_part_alike(log: EventLog, split: Split, config: TrainingConfig) -> None:
    refitting = config.model_copy(update={"fit": config.fit.model_copy(update={"refit": True})})

    parts = cut_parts(log, split, refitting)

    assert cut_parts(log, split, config).joint is None
    assert parts.joint is not None
    learnt = set(parts.joint.log.sequence_ids)
    assert learnt >= {*split.fit.sequence_ids, *split.validation.sequence_ids}
    assert parts.joint.log.times_microseconds.max() < split.calibration.times_microseconds.min()


def test_what_is_learnt_from_may_be_limited_apart_from_what_is_judged(
    log: EventLog, split: Split, config: TrainingConfig
) -> None:
    limited = config.model_copy(update={"prefixes": config.prefixes.model_copy(update={"longest": 2})})

    parts, unlimited = cut_parts(log, split, limited), cut_parts(log, split, config)

    assert parts.training.lengths.max() == 2
    assert len(parts.training) == (unlimited.training.lengths <= 2).sum()
    assert parts.test.lengths.max() == unlimited.test.lengths.max() > 2
