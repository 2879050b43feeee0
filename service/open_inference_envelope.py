"""Which model a message of gRPC asks for, read without the rest of it: the rest of a large one is read elsewhere.

A message is a series of fields, each with its number and length in front (protobuf.dev/programming-guides/encoding).
"""

from service.errors import InvalidTensorsError
from service.open_inference_catalogue import Asked
from service.open_inference_tensor import refused

_NAME, _VERSION = 1, 2
_VARINT, _EIGHT_BYTES, _WITH_LENGTH, _FOUR_BYTES = 0, 1, 2, 5
# A request has a few, and one an input and an output.
_MAX_FIELDS = 1_000


def read_asked(message: bytes) -> Asked:
    """The model and version that a `ModelInferRequest` asks for.

    Raises:
        InvalidTensorsError: It is no message, or has far more fields than a request.
    """
    texts = {_NAME: b"", _VERSION: b""}
    place = num_fields = 0
    try:
        while place < len(message):
            num_fields += 1
            if num_fields > _MAX_FIELDS:
                raise refused("", f"Expected a message of at most {_MAX_FIELDS} fields. Received: one with more.")
            tag, place = _varint(message, place)
            start, place = _span(message, tag & 7, place)
            # Of a field that is repeated, the last one counts.
            if tag >> 3 in texts:
                texts[tag >> 3] = message[start:place]
        name, version = (texts[number].decode() for number in (_NAME, _VERSION))
    except (IndexError, UnicodeDecodeError) as error:
        raise malformed() from error
    return Asked(name, version or None)


def malformed(expected: str = "ModelInferRequest") -> InvalidTensorsError:
    """What is said of bytes that are no such message."""
    return refused("", f"Expected a {expected}. Received: bytes that are no such message.")


def _span(message: bytes, wire_type: int, place: int) -> tuple[int, int]:
    """Where the content of a field begins and ends whose number ends at `place`."""
    if wire_type == _VARINT:
        return place, _varint(message, place)[1]
    if wire_type == _WITH_LENGTH:
        length, place = _varint(message, place)
    else:
        length = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(wire_type, len(message))
    if place + length > len(message):
        raise malformed()
    return place, place + length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number, seven bits a byte, and where it ends."""
    number = shift = 0
    while (byte := message[place]) & 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        place += 1
        if shift > 63:
            raise malformed()
    return number | byte << shift, place + 1
