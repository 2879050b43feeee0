"""What tensor clients send, whichever protocol carries it, as histories.

Tensors         a row a history, ragged or right-padded
read_tensors    tensors -> histories for a challenger and arrays for the champion, or every row at fault
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.sequences import FIRST_EVENT_TYPE_ID, PADDING_ID, EncodedBatch, EventType, Vocabulary
from service.broken_rule import BrokenRuleError
from service.errors import Fault, InvalidTensorsError, WrongElementError
from service.faults import MAX_DETAILS, Faults, received
from service.further_tensors import read_further
from service.histories import Rules
from service.live_model import LiveModel
from service.rows import OnDemand, Rows
from service.schemas import MAX_ELAPSED_MINUTES, MAX_TEXT_LENGTH
from service.score_request import Histories
from service.settings import Settings
from service.tensor_faults import check_row

# What pads a row of event types.
PADDING_TYPE = ""

# Half a character: JSON in UTF-8 cannot hold it, so no manifest can.
_UNKNOWN_TYPE = "\ud800"

_ELEMENT_TYPES: dict[str, tuple[frozenset[type], str]] = {
    "event_ids": (frozenset({int}), "Expected an integer"),
    "event_types": (frozenset({str, int}), "Expected an event type, which is a string or an integer"),
    "elapsed_minutes": (frozenset({int, float}), "Expected a number"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensors:
    """What a tensor client sent: a row a history, its oldest event first. Rows may be ragged, or padded on the right.

    Attributes:
        event_ids: Rows of integers, or an integer array (batch, time); 0 is padding. None beside `event_types`.
        event_types: Rows of event types; an empty one is padding. None beside `event_ids`.
        elapsed_minutes: Rows of numbers, or an array (batch, time); what stands beside padding does not matter.
        further: Further inputs by name, rows as of the events, or a value a row; or arrays of such shapes.
        place: Leads from the body to a row of a tensor, for the pointers of faults.
    """

    event_ids: Sequence[Sequence[int]] | NDArray[np.integer[Any]] | None = None
    event_types: Sequence[Sequence[EventType]] | None = None
    elapsed_minutes: Sequence[Sequence[float]] | NDArray[np.floating[Any]]
    further: Mapping[str, Sequence[Any] | NDArray[Any]] = field(default_factory=dict)
    place: str = "/{tensor}/{row}"

    @property
    def events(self) -> tuple[str, Sequence[Sequence[EventType]] | NDArray[np.integer[Any]]]:
        """Name and rows of the tensor that tells what happened."""
        if self.event_ids is not None:
            return "event_ids", self.event_ids
        return "event_types", self.event_types or []

    def pointer(self, tensor: str, row: int, *more: str | int) -> str:
        """JSON pointer to a row of a tensor, or to its cell."""
        return self.place.format(tensor=tensor, row=row) + "".join(f"/{step}" for step in more)

    def whole(self, tensor: str) -> str:
        """JSON pointer to a tensor, or to the nearest place that holds all of it."""
        return self.place.partition("/{row}")[0].format(tensor=tensor)


def read_tensors(tensors: Tensors, model: LiveModel, settings: Settings) -> tuple[Histories, EncodedBatch]:
    """Check every rule and encode; both results are those of the same histories in our own protocol.

    Args:
        tensors: As they came. The elements of rows may be anything; what holds the rows is as `Tensors` says.
        model: Who is to score them.
        settings: What a request may carry.

    Raises:
        InvalidTensorsError: They break a rule; every row at fault is named, or counted after the first few.
        WrongElementError: Some element is no number, or no event type.
    """
    widths = _widths(tensors, settings.max_sequences)
    minutes = _minutes(tensors)
    ids = _known_ids(tensors, model.vocabulary) if tensors.event_ids is None else _ids(tensors)
    rows = Rows.of(ids, minutes, widths)
    rules = Rules.of(settings, model.manifest)
    at_fault = rows.at_fault(model.vocabulary.size, rules)
    if len(at_fault):
        _refuse(tensors, at_fault.tolist(), model.vocabulary.size, rules)
    num_rows = len(widths)
    histories = Histories(
        model=None,
        ids=[None] * num_rows,
        event_types=OnDemand(num_rows, _event_types(tensors, rows, model.vocabulary)),
        elapsed_minutes=OnDemand(num_rows, lambda row: rows.elapsed_minutes[rows.events(row)].tolist()),
    )
    batch = rows.encode(model.manifest.max_events)
    if not model.further.declared:
        return histories, batch
    arrays, values = read_further(tensors, rows, model.further, model.manifest.max_events)
    return replace(histories, further=values), replace(batch, further=arrays)


def _widths(tensors: Tensors, max_sequences: int) -> NDArray[np.int64]:
    """Cells of each row, int64 (batch,), once all tensors agree on them."""
    name, events = tensors.events
    widths, others = _lengths(tensors, name, events), _lengths(tensors, "elapsed_minutes", tensors.elapsed_minutes)
    faults = Faults()
    if len(widths) != len(others):
        message = f"Expected one row a row of `{name}`, so {len(widths)}. Received: {len(others)}."
        faults.add(Fault(tensors.whole("elapsed_minutes"), message))
    elif not len(widths):
        faults.add(Fault(tensors.whole(name), "Expected at least 1 row. Received: none."))
    elif len(widths) > max_sequences:
        message = f"Expected at most {max_sequences} sequences. Received: {len(widths)}. Split them into requests."
        faults.add(Fault(tensors.whole(name), message))
    else:
        for row in np.flatnonzero(widths != others).tolist():
            message = f"Expected one elapsed time an event, so {widths[row]}. Received: {others[row]}."
            faults.add(Fault(tensors.pointer("elapsed_minutes", row), message))
    faults.raise_if_any(InvalidTensorsError)
    return widths


def _lengths(tensors: Tensors, name: str, rows: Sequence[Sequence[object]] | NDArray[Any]) -> NDArray[np.int64]:
    if isinstance(rows, np.ndarray):
        if rows.ndim != 2:
            message = f"Expected the shape (batch, time). Received: {rows.shape}."
            raise InvalidTensorsError(message, (Fault(tensors.whole(name), message),))
        return np.full(rows.shape[0], rows.shape[1], np.int64)
    return np.fromiter(map(len, rows), np.int64, len(rows))


def _ids(tensors: Tensors) -> NDArray[np.int64]:
    rows = tensors.event_ids
    if isinstance(rows, np.ndarray):
        return _flat(tensors, "event_ids", rows, "iu").astype(np.int64)
    ids = _elements(tensors, "event_ids", rows or [])
    try:
        return np.array(ids, np.int64)
    except OverflowError:
        # No id is negative either.
        return np.array([event_id if abs(event_id) <= 2**62 else -1 for event_id in ids], np.int64)


def _known_ids(tensors: Tensors, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Ids of event types."""
    rows = tensors.event_types or []
    types = _elements(tensors, "event_types", rows)
    ids = np.array(vocabulary.ids(types), np.int64)
    if PADDING_TYPE in types:
        ids[[event_type == PADDING_TYPE for event_type in types]] = PADDING_ID
    return ids


def _minutes(tensors: Tensors) -> NDArray[np.float64]:
    rows = tensors.elapsed_minutes
    if isinstance(rows, np.ndarray):
        return _flat(tensors, "elapsed_minutes", rows, "fiu").astype(np.float64)
    minutes = _elements(tensors, "elapsed_minutes", rows)
    try:
        return np.array(minutes, np.float64)
    except OverflowError:
        return np.array([minute if abs(minute) <= MAX_ELAPSED_MINUTES else np.inf for minute in minutes], np.float64)


def _flat(tensors: Tensors, name: str, array: NDArray[Any], kinds: str) -> NDArray[Any]:
    if array.dtype.kind not in kinds:
        message = f"{_ELEMENT_TYPES[name][1]} in each cell. Received: {array.dtype.name}."
        raise InvalidTensorsError(message, (Fault(tensors.whole(name), message),))
    return array.reshape(-1)


def _elements(tensors: Tensors, name: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """The elements of all rows, each of a type that the tensor may hold.

    Raises:
        WrongElementError: Some are not.
    """
    types, expected = _ELEMENT_TYPES[name]
    elements = [*chain.from_iterable(rows)]
    if not types.issuperset(map(type, elements)):
        _refuse_elements(tensors, name, rows, lambda element: type(element) not in types, expected)
    if name == "event_types" and any(
        len(element) > MAX_TEXT_LENGTH for element in elements if isinstance(element, str)
    ):
        expected = f"Expected at most {MAX_TEXT_LENGTH} characters"
        _refuse_elements(
            tensors, name, rows, lambda element: isinstance(element, str) and len(element) > MAX_TEXT_LENGTH, expected
        )
    return elements


def _refuse_elements(
    tensors: Tensors, name: str, rows: Sequence[Sequence[Any]], is_wrong: Callable[[Any], bool], expected: str
) -> None:
    """Name the first wrong element of each row that has one."""
    faults, wrong = Faults(), list[object]()
    for row, elements in enumerate(rows):
        position = next((place for place, element in enumerate(elements) if is_wrong(element)), None)
        if position is not None:
            wrong.append(elements[position])
            message = f"{expected}. Received: {received(elements[position])}."
            faults.add(Fault(tensors.pointer(name, row, position), message))
    faults.raise_if_any(partial(WrongElementError, tensor=name, element=wrong[0]))


def _refuse(tensors: Tensors, at_fault: list[int], vocabulary_size: int, rules: Rules) -> None:
    """Name the first rule that each of these rows breaks."""
    faults = Faults()
    name, events = tensors.events
    for row in at_fault[:MAX_DETAILS]:
        try:
            check_row(name, _listed(events[row]), _listed(tensors.elapsed_minutes[row]), vocabulary_size, rules)
        except BrokenRuleError as broken:
            tensor, *more = broken.place.split("/")[1:]
            faults.add(Fault(tensors.pointer(tensor, row, *more), broken.message))
    faults.leave_out(len(at_fault[MAX_DETAILS:]))
    faults.raise_if_any(InvalidTensorsError)


def _listed(row: Sequence[Any] | NDArray[Any]) -> list[Any]:
    return row.tolist() if isinstance(row, np.ndarray) else list(row)


def _event_types(tensors: Tensors, rows: Rows, vocabulary: Vocabulary) -> Callable[[int], list[EventType]]:
    """From a row to its event types; those of the unknown id are in no vocabulary."""
    if tensors.event_types is not None:
        given = tensors.event_types
        return lambda row: list(given[row][: int(rows.lengths[row])])

    def decode(row: int) -> list[EventType]:
        ids = rows.event_ids[rows.events(row)].tolist()
        known = vocabulary.event_types
        return [
            known[event_id - FIRST_EVENT_TYPE_ID] if event_id >= FIRST_EVENT_TYPE_ID else _UNKNOWN_TYPE
            for event_id in ids
        ]

    return decode
