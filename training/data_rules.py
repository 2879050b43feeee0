"""Rules of an event log: what can be learnt from and still is odd, each with its count, examples and the way out."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.sequences import FIRST_EVENT_TYPE_ID, Vocabulary
from training.eventlog import EventLog
from training.rows import NOT_YET
from training.splits import Split

Rule = Literal[
    "event_at_or_after_label",
    "future_event",
    "telling_event_type",
    "constant_label",
    "constant_further_label",
    "duplicate_event",
    "unordered_rows",
    "undecided_label",
    "entity_in_two_parts",
    "rare_event_type",
    "event_type_only_in_test",
]
Severity = Literal["warning", "note"]

_MOST_EXAMPLES = 3
_NUM_SLICES = 10
_SMALLEST_SLICE = 30
# Chance that a type seen beside one label only is so by luck, over all types of a log.
_UNLIKELY = 1e-6


class Finding(BaseModel):
    """Something odd.

    Attributes:
        rule: Its name, for programs.
        severity: `warning` where the model or its evaluation may be wrong, `note` where it is good to know.
        count: How often.
        message: What was found.
        examples: Up to three places.
        advice: What to do about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Rule
    severity: Severity
    count: int
    message: str
    examples: tuple[str, ...]
    advice: str


def find_oddities(log: EventLog, split: Split, min_count: int, now_microseconds: int) -> tuple[Finding, ...]:
    """Everything odd about `log`, warnings first.

    Args:
        log: The whole log.
        split: Its parts.
        min_count: Event types seen less often in the fit part are the unknown event.
        now_microseconds: The present since 1970.
    """
    types = Vocabulary(dict.fromkeys(log.event_types.tolist()))
    found = [
        *_late_events(log, now_microseconds),
        *_telling_types(log, types),
        *_constant_labels(log),
        *_constant_further_labels(split.fit),
        *_duplicates(log, types),
        *_notes(log, split),
        *_scarce_types(split, types, min_count),
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity, reverse=True))


def _late_events(log: EventLog, now_microseconds: int) -> Iterator[Finding]:
    if log.label_times_microseconds is not None:
        known = np.repeat(log.label_times_microseconds, log.lengths)
        after = np.flatnonzero(log.times_microseconds >= known)
        yield from _finding(
            "event_at_or_after_label",
            "warning",
            len(after),
            message=f"Events at or after the moment their sequence's label was known: {len(after):,}.",
            examples=_places(log, after),
            advice="They are in no history; cut them from the log if they only record the outcome.",
        )
    if log.has_calendar_time:
        future = np.flatnonzero(log.times_microseconds > now_microseconds)
        yield from _finding(
            "future_event",
            "warning",
            len(future),
            message=f"Events that have not happened yet: {len(future):,}.",
            examples=_places(log, future),
            advice="Check the zone of the times, and remove what is only planned.",
        )


def _telling_types(log: EventLog, types: Vocabulary) -> Iterator[Finding]:
    """Event types beside which only one label was ever seen, too often to be luck: perhaps they decide it."""
    sequences = np.repeat(np.arange(log.num_sequences), log.lengths)
    pairs = np.unique(sequences * types.size + log.event_ids(types))
    labels, ids = log.labels[pairs // types.size], pairs % types.size
    num_with, num_positive = (np.bincount(ids, weights, types.size) for weights in (None, labels))
    share = log.labels.mean()
    threshold = np.log(_UNLIKELY / types.size)
    for label, num_of_label, chance in ((1, num_positive, share), (0, num_with - num_positive, 1 - share)):
        is_telling = (num_with > 0) & (num_of_label == num_with) & (num_with * np.log(chance) < threshold)
        found = sorted(np.flatnonzero(is_telling), key=lambda event_id: -num_with[event_id])
        examples = (f"{_name(types, int(i))!r} in {int(num_with[i]):,} sequences" for i in found[:_MOST_EXAMPLES])
        yield from _finding(
            "telling_event_type",
            "warning",
            len(found),
            message=f"Event types seen in sequences with label {label} only: {len(found):,}.",
            examples=tuple(examples),
            advice="If one of them decides the label, cut every sequence before it.",
        )


def _constant_labels(log: EventLog) -> Iterator[Finding]:
    if not log.has_common_origin:
        return
    slices = [piece for piece in np.array_split(log.labels, _NUM_SLICES) if len(piece) >= _SMALLEST_SLICE]
    constant = [(number, int(piece[0])) for number, piece in enumerate(slices, 1) if len(np.unique(piece)) == 1]
    yield from _finding(
        "constant_label",
        "warning",
        len(constant),
        message=f"Tenths of the log, by start, with one label only: {len(constant):,}.",
        examples=tuple(f"tenth {number} only label {label}" for number, label in constant[:_MOST_EXAMPLES]),
        advice="Labels that are filled in late, or not any more, teach the model the calendar.",
    )


def _constant_further_labels(fit_part: EventLog) -> Iterator[Finding]:
    known = {column: labels[~np.isnan(labels)] for column, labels in fit_part.further_labels.items()}
    constant = [column for column, labels in known.items() if len(np.unique(labels)) < 2]
    yield from _finding(
        "constant_further_label",
        "warning",
        len(constant),
        message=f"Further labels of which the fit part knows one class at most: {len(constant):,}.",
        examples=tuple(repr(column) for column in constant[:_MOST_EXAMPLES]),
        advice="They teach nothing; take them out of data.further_label_columns.",
    )


def _duplicates(log: EventLog, types: Vocabulary) -> Iterator[Finding]:
    # Only events at the time of a neighbour can be twice in the log.
    sequences = np.repeat(np.arange(log.num_sequences), log.lengths)
    is_tie = (np.diff(log.times_microseconds) == 0) & (np.diff(sequences) == 0)
    tied = np.flatnonzero(np.append(is_tie, False) | np.append(False, is_tie))
    ids = log.event_ids(types)[tied]
    order = np.lexsort((ids, log.times_microseconds[tied], sequences[tied]))
    columns = (ids[order], log.times_microseconds[tied][order], sequences[tied][order])
    is_repeat = np.logical_and.reduce([np.diff(column) == 0 for column in columns])
    repeats = tied[order[1:][is_repeat]]
    yield from _finding(
        "duplicate_event",
        "note",
        len(repeats),
        message=f"Events that repeat another of the same sequence, type and time: {len(repeats):,}.",
        examples=_places(log, repeats),
        advice="Remove them if an export wrote them twice; histories in production will not.",
    )


def _notes(log: EventLog, split: Split) -> Iterator[Finding]:
    if log.was_unordered is not None:
        unordered = np.flatnonzero(log.was_unordered)
        yield from _finding(
            "unordered_rows",
            "note",
            len(unordered),
            message=f"Sequences whose rows were not in order of time, and were sorted: {len(unordered):,}.",
            examples=_names(log, unordered),
            advice="If the order in the file is the true one, the times are not.",
        )
    if log.label_times_microseconds is not None:
        undecided = np.flatnonzero(log.label_times_microseconds == NOT_YET)
        yield from _finding(
            "undecided_label",
            "note",
            len(undecided),
            message=f"Sequences whose outcome is not known yet: {len(undecided):,}.",
            examples=_names(log, undecided),
            advice="They are used up to where it is, which is nowhere without data.label_horizon_minutes.",
        )
    num_shared = sum(losses.num_shared for losses in split.losses.values())
    yield from _finding(
        "entity_in_two_parts",
        "note",
        num_shared,
        message=f"Sequences dropped because their entity has one in a later part: {num_shared:,}.",
        examples=(),
        advice="Set split.overlap to keep if the model is to meet entities it knows.",
    )


def _scarce_types(split: Split, types: Vocabulary, min_count: int) -> Iterator[Finding]:
    in_fit, in_training, in_test = (
        np.bincount(part.event_ids(types), minlength=types.size) for part in (split.fit, split.training, split.test)
    )
    rare = np.flatnonzero((in_fit > 0) & (in_fit < min_count)).tolist()
    yield from _finding(
        "rare_event_type",
        "note",
        len(rare),
        message=f"Event types seen fewer than {min_count} times in the fit part, so the unknown event: {len(rare):,}.",
        examples=tuple(repr(_name(types, event_id)) for event_id in rare[:_MOST_EXAMPLES]),
        advice="Group types that mean the same.",
    )
    new = np.flatnonzero((in_training == 0) & (in_test > 0)).tolist()
    share = in_test[new].sum() / in_test.sum()
    yield from _finding(
        "event_type_only_in_test",
        "note",
        len(new),
        message=f"Event types only in the test part: {len(new):,}, {share:.1%} of its events.",
        examples=tuple(repr(_name(types, event_id)) for event_id in new[:_MOST_EXAMPLES]),
        advice="The model takes them as the unknown event.",
    )


def _finding(
    rule: Rule, severity: Severity, count: int, *, message: str, examples: tuple[str, ...], advice: str
) -> Iterator[Finding]:
    if count:
        yield Finding(rule=rule, severity=severity, count=count, message=message, examples=examples, advice=advice)


def _name(types: Vocabulary, event_id: int) -> str:
    return types.event_types[event_id - FIRST_EVENT_TYPE_ID]


def _names(log: EventLog, sequences: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(repr(log.sequence_ids[sequence]) for sequence in sequences[:_MOST_EXAMPLES])


def _places(log: EventLog, events: NDArray[np.int64]) -> tuple[str, ...]:
    first = events[:_MOST_EXAMPLES]
    sequences = log.sequence_ids[np.searchsorted(log.offsets, first, side="right") - 1]
    pairs = zip(log.event_types[first], sequences, strict=True)
    return tuple(f"{event_type!r} in sequence {sequence!r}" for event_type, sequence in pairs)
