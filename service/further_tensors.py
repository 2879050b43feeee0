"""Further inputs as tensor clients send them, checked like the other tensors and padded beside them.

read_further    tensors by name -> arrays for the champion and values for a challenger, or every fault
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.further_inputs import FurtherInput, FurtherInputs, FurtherValues
from models.sequences import FIRST_EVENT_TYPE_ID
from service.errors import Fault, InvalidTensorsError
from service.faults import Faults, received
from service.rows import OnDemand, Rows
from service.schemas import MAX_TEXT_LENGTH

if TYPE_CHECKING:
    from service.tensors import Tensors

# Half a character: JSON in UTF-8 cannot hold it, so no manifest can.
_UNKNOWN_CATEGORY = "\ud800"
_NO_NUMBER = {"numeric": np.inf, "clock": np.inf, "categorical": -1}

_Values = dict[str, NDArray[Any]]


def read_further(
    tensors: "Tensors", rows: Rows, inputs: FurtherInputs, max_events: int
) -> tuple[_Values, Sequence[FurtherValues]]:
    """Check the further inputs of a request and pad them.

    Args:
        tensors: As they came. A category is an id, as the model takes it, or a string, which is looked up.
        rows: The events beside them, which break no rule.
        inputs: What the model is told; what was not sent is at its default.
        max_events: Longest history the model takes.

    Returns:
        What `FurtherInputs.complete` makes of the same values, and these values for each row, made on demand.

    Raises:
        InvalidTensorsError: They break a rule; every place at fault is named, or counted after the first few.
    """
    faults = Faults()
    values = {one.name: _Reading(tensors, rows, inputs, one, faults).values() for one in inputs.declared}
    faults.raise_if_any(InvalidTensorsError)
    arrays = {
        one.name: rows.spread(values[one.name], max_events).astype(one.dtype)
        if one.per == "event"
        else values[one.name].astype(one.dtype)
        for one in inputs.declared
    }
    return arrays, OnDemand(len(rows.lengths), _row_values(inputs, rows, values))


@dataclass(frozen=True, slots=True)
class _Reading:
    """One input of a request: from what came to numbers or ids."""

    tensors: "Tensors"
    rows: Rows
    inputs: FurtherInputs
    one: FurtherInput
    faults: Faults

    def values(self) -> NDArray[Any]:
        """A value in each cell, (cells,), or one a row, (batch,); of no meaning where there was a fault."""
        name, is_per_event = self.one.name, self.one.per == "event"
        given = self.tensors.further.get(name)
        num_values = len(self.rows.event_ids) if is_per_event else len(self.rows.lengths)
        if given is None:
            return self._defaults(num_values)
        elements = self._cells(given) if is_per_event else self._of_rows(given)
        if elements is None:
            return np.zeros(num_values)
        values = self._numbers(elements)
        least, largest = self.one.limits
        # NaN compares false; in padding anything may stand.
        is_wrong = ~((values >= least) & (values <= largest))
        if is_per_event:
            is_wrong &= self.rows.event_ids != 0
        self._refuse(is_wrong, elements)
        return values

    def _defaults(self, num_values: int) -> NDArray[Any]:
        default: Any = self.one.default
        if default is None:
            message = f"Expected the tensor `{self.one.name}`, which has no default. Received: no such tensor."
            self.faults.add(Fault(self.tensors.whole(self.one.name), message))
            return np.zeros(num_values)
        value = self.inputs.ids(self.one.name, [default])[0] if self.one.kind == "categorical" else default
        return np.full(num_values, value)

    def _cells(self, given: Any) -> Sequence[Any] | NDArray[Any] | None:  # noqa: ANN401  whatever was sent
        """The elements of all rows, once each row has as many as it has events."""
        name, widths = self.one.name, self.rows.widths
        if isinstance(given, np.ndarray):
            if given.shape == (len(widths), int(widths[0])):
                return given.reshape(-1)
            self._add(f"Expected the shape of the events, {(len(widths), int(widths[0]))}. Received: {given.shape}.")
            return None
        if len(given) != len(widths):
            self._add(f"Expected one row a sequence, so {len(widths)}. Received: {len(given)}.")
            return None
        is_sound = True
        for row, (elements, width) in enumerate(zip(given, widths.tolist(), strict=True)):
            num_elements = len(elements) if isinstance(elements, list) else None
            if num_elements != width:
                told = received(elements) if num_elements is None else num_elements
                message = f"Expected one value an event, so {width}. Received: {told}."
                self.faults.add(Fault(self.tensors.pointer(name, row), message))
                is_sound = False
        return [*chain.from_iterable(given)] if is_sound else None

    def _of_rows(self, given: Any) -> Sequence[Any] | NDArray[Any] | None:  # noqa: ANN401  whatever was sent
        num_rows = len(self.rows.lengths)
        if len(given) != num_rows:
            self._add(f"Expected one value a sequence, so {num_rows}. Received: {len(given)}.")
            return None
        return given.reshape(-1) if isinstance(given, np.ndarray) else list(given)

    def _numbers(self, elements: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
        """Elements as numbers or ids; out of all limits where they are neither."""
        is_id = self.one.kind == "categorical"
        if isinstance(elements, np.ndarray):
            return elements if elements.dtype.kind in ("iu" if is_id else "fiu") else np.full(len(elements), np.nan)
        no_number = _NO_NUMBER[self.one.kind]
        least, largest = self.one.limits

        def number(element: object) -> float:
            if is_id and isinstance(element, str) and len(element) <= MAX_TEXT_LENGTH:
                return self.inputs.ids(self.one.name, [element])[0]
            is_number = type(element) is int or (type(element) is float and not is_id)
            # An integer may be longer than any array can hold.
            return element if is_number and least <= element <= largest else no_number  # type: ignore[operator,return-value]

        return np.array([number(element) for element in elements], np.int64 if is_id else np.float64)

    def _refuse(self, is_wrong: NDArray[np.bool_], elements: Sequence[Any] | NDArray[Any]) -> None:
        """Name the first wrong element of each row that has one."""
        wrong = np.flatnonzero(is_wrong)
        is_per_event = self.one.per == "event"
        row_of = np.searchsorted(self.rows.starts, wrong, side="right") - 1 if is_per_event else wrong
        _, firsts = np.unique(row_of, return_index=True)
        for cell, row in zip(wrong[firsts].tolist(), row_of[firsts].tolist(), strict=True):
            element = elements[cell].item() if isinstance(elements, np.ndarray) else elements[cell]
            more = [cell - int(self.rows.starts[row])] if is_per_event else []
            message = f"{self._expected()}. Received: {received(element)}."
            self.faults.add(Fault(self.tensors.pointer(self.one.name, row, *more), message))

    def _expected(self) -> str:
        least, largest = self.one.limits
        if self.one.kind == "categorical":
            return f"Expected a category: a string, or an id from 1 (unknown) to {largest:.0f}"
        unit = f" of {self.one.unit}" if self.one.unit else ""
        return f"Expected a number{unit} from {least:g} to {largest:g}"

    def _add(self, message: str) -> None:
        self.faults.add(Fault(self.tensors.whole(self.one.name), message))


def _row_values(inputs: FurtherInputs, rows: Rows, values: _Values) -> Callable[[int], FurtherValues]:
    """From a row to its values as a client of our own protocol sends them."""

    def told(one: FurtherInput, numbers: list[Any]) -> list[Any]:
        if one.kind != "categorical":
            return numbers
        first, known = FIRST_EVENT_TYPE_ID, one.categories
        return [known[number - first] if number >= first else _UNKNOWN_CATEGORY for number in numbers]

    def row_values(row: int) -> FurtherValues:
        return {
            one.name: told(one, values[one.name][rows.events(row)].tolist())
            if one.per == "event"
            else told(one, values[one.name][row : row + 1].tolist())[0]
            for one in inputs.declared
        }

    return row_values
