"""An input tensor of the Open Inference Protocol: its elements, in whichever encoding they came, as arrays.

Elements       what a tensor holds
InputTensor    what is said of a tensor before its elements
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.further_inputs import FurtherInput
from service.errors import Fault, InvalidTensorsError
from service.faults import received

# (batch, time), or (batch,) with a value a sequence: numbers as an array, strings as lists.
Elements = NDArray[np.generic] | list[list[str]] | list[str]

# Without loss only: ids are whole numbers, minutes are not.
DATATYPES = {
    "event_ids": ("INT32", "INT64"),
    "event_types": ("BYTES",),
    "elapsed_minutes": ("FP32", "FP64"),
}
_NUMBERS = ("FP32", "FP64")
# Ids, or the categories themselves.
_CATEGORIES = ("INT32", "INT64", "BYTES")

_DTYPES: dict[str, np.dtype[Any]] = {
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_WHOLE_NUMBERS = frozenset({"INT32", "INT64"})
_PYTHON_TYPES = {
    "INT32": frozenset({int}),
    "INT64": frozenset({int}),
    "FP32": frozenset({int, float}),
    "FP64": frozenset({int, float}),
    "BYTES": frozenset({str}),
}
# Of an element of BYTES: its own length, little-endian.
_LENGTH_BYTES = 4
# Beyond any body, and short enough that products of sizes can be told.
_MAX_SIZE = 2**31


@dataclass(frozen=True, slots=True)
class InputTensor:
    """What is said of a tensor before its elements.

    Attributes:
        name: Of the input.
        datatype: One of those its input takes.
        shape: (batch, time), neither of them 0; of an input per sequence (batch,).
        place: JSON pointer to it.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    place: str

    @classmethod
    def of(
        cls, name: str, datatype: str, shape: Sequence[object], place: str, further: Sequence[FurtherInput] = ()
    ) -> Self:
        """Check what is said of a tensor of a model with these further inputs.

        Raises:
            InvalidTensorsError: There is no such input, or it takes another datatype or shape.
        """
        declared = {one.name: one for one in further}
        datatypes = DATATYPES | {
            one.name: _CATEGORIES if one.kind == "categorical" else _NUMBERS for one in declared.values()
        }
        accepted = datatypes.get(name)
        if accepted is None:
            expected = ", ".join(f"`{known}`" for known in datatypes)
            raise refused(f"{place}/name", f"Expected one of the inputs {expected}. Received: {received(name)}.")
        if datatype not in accepted:
            raise refused(
                f"{place}/datatype",
                f"Expected {' or '.join(accepted)} for the input `{name}`. Received: {received(datatype)}.",
            )
        is_per_sequence = name in declared and declared[name].per == "sequence"
        match shape:
            case [int(batch)] | [int(batch), 1] if is_per_sequence and _is_size(batch):
                return cls(name, datatype, (batch,), place)
            case _ if is_per_sequence:
                expected = f"[batch], from 1 to {_MAX_SIZE}"
            case [int(batch), int(time)] if _is_size(batch) and _is_size(time):
                return cls(name, datatype, (batch, time), place)
            case _:
                expected = f"[batch, time], each from 1 to {_MAX_SIZE}"
        raise refused(
            f"{place}/shape",
            f"Expected the shape {expected}, for the input `{name}`. Received: {received(str([*shape[:4]]))}.",
        )

    def of_list(self, elements: Sequence[object]) -> Elements:
        """Elements one by one: all in one list, row after row, or a list a row.

        Raises:
            InvalidTensorsError: They are not of the datatype, too few or too many.
        """
        flat = self._flat(elements)
        accepted = _PYTHON_TYPES[self.datatype]
        if not accepted.issuperset(map(type, flat)):
            position = next(position for position, element in enumerate(flat) if type(element) not in accepted)
            raise refused(
                f"{self.place}/data",
                f"Expected elements of the datatype {self.datatype} in the input `{self.name}`. "
                f"Received: {received(flat[position])} as element {position}.",
            )
        if self.datatype == "BYTES":
            return self._rows([element for element in flat if isinstance(element, str)])
        # Minutes stay as exact as JSON has them; whether they fit a float32 is for the rules to say.
        dtype = _DTYPES[self.datatype] if self.datatype in _WHOLE_NUMBERS else np.dtype(np.float64)
        try:
            return np.array(flat, dtype).reshape(self.shape)
        except OverflowError as error:
            raise refused(
                f"{self.place}/data",
                f"Expected elements within the range of {self.datatype} in the input `{self.name}`. "
                "Received: one that is not.",
            ) from error

    def of_bytes(self, raw: bytes) -> Elements:
        """Elements back to back, little-endian, row after row.

        Raises:
            InvalidTensorsError: There are not as many bytes as the shape asks for, or a string is not UTF-8.
        """
        if self.datatype == "BYTES":
            return self._rows(self._strings(raw))
        dtype = _DTYPES[self.datatype]
        if len(raw) != self._num_elements * dtype.itemsize:
            raise self._wrong_size(f"{self._num_elements * dtype.itemsize} bytes", len(raw))
        return np.frombuffer(raw, dtype).reshape(self.shape)

    @property
    def _num_elements(self) -> int:
        return prod(self.shape)

    def _flat(self, elements: Sequence[object]) -> Sequence[object]:
        batch, time = self._rows_and_columns
        if not elements or not isinstance(elements[0], list):
            if len(elements) != self._num_elements:
                raise self._wrong_size(f"{self._num_elements} elements", len(elements))
            return elements
        if len(elements) != batch:
            raise self._wrong_size(f"{batch} rows", len(elements))
        rows: list[list[object]] = []
        for position, row in enumerate(elements):
            if not isinstance(row, list) or len(row) != time:
                raise refused(
                    f"{self.place}/data/{position}",
                    f"Expected {time} elements in each row of the input `{self.name}`, as its shape says. "
                    f"Received: {f'{len(row)} elements' if isinstance(row, list) else received(row)}.",
                )
            rows.append(row)
        return list(chain.from_iterable(rows))

    def _strings(self, raw: bytes) -> list[str]:
        strings: list[str] = []
        position = 0
        # Told apart by their lengths alone: each is looked at before what it promises.
        while len(strings) < self._num_elements:
            start = position + _LENGTH_BYTES
            end = start + int.from_bytes(raw[position:start], "little")
            if start > len(raw) or end > len(raw):
                raise self._wrong_size(f"{self._num_elements} strings, each after its length", len(raw))
            try:
                strings.append(str(raw[start:end], "utf-8"))
            except UnicodeDecodeError as error:
                raise self.not_text(len(strings)) from error
            position = end
        if position != len(raw):
            raise self._wrong_size(f"{self._num_elements} strings in {position} bytes", len(raw))
        return strings

    def not_text(self, position: int) -> InvalidTensorsError:
        """The refusal of an element that is not UTF-8."""
        return refused(
            f"{self.place}/data", f"Expected UTF-8 in the input `{self.name}`. Received: else as element {position}."
        )

    @property
    def _rows_and_columns(self) -> tuple[int, int]:
        return self.shape[0], self._num_elements // self.shape[0]

    def _rows(self, strings: list[str]) -> Elements:
        if len(self.shape) == 1:
            return strings
        batch, time = self.shape
        return [strings[row * time : (row + 1) * time] for row in range(batch)]

    def _wrong_size(self, expected: str, size: int) -> InvalidTensorsError:
        return refused(
            self.place,
            f"unexpected size for input '{self.name}', expecting {expected} for the shape {[*self.shape]}. "
            f"Received: {size}.",
        )


def _is_size(number: int) -> bool:
    # A boolean is none, though Python counts it as a number.
    return type(number) is not bool and 0 < number <= _MAX_SIZE


def refused(place: str, message: str) -> InvalidTensorsError:
    """The refusal of a request for what is wrong at one place."""
    return InvalidTensorsError(message, (Fault(place, message),))
