"""Whether two graphs compute the same, given the same weights: a digest of everything but names."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

# What someone once called an argument; every other attribute may change what is computed.
_NAME_ATTRIBUTE = "_user_specified_name"


def graph_digest(function: Any, library: Sequence[Any]) -> str:  # noqa: ANN401  protocol buffers have no types here
    """SHA-256 of a function's graph and of all it calls.

    Names of functions and arguments carry counters of the process that saved them, so nodes and functions are numbered
    by the order they stand in, which the code that built the graph decides.

    Args:
        function: A `FunctionDef`.
        library: The `FunctionDef`s it may call.
    """
    functions = {called.signature.name: called for called in library}
    numbers: dict[str, int] = {}
    digest = hashlib.sha256()
    waiting = [function]
    while waiting:
        for part in _parts(waiting.pop(0)):
            if isinstance(part, str) and part not in numbers:
                numbers[part] = len(numbers)
                waiting.append(functions[part])
            digest.update(repr(numbers[part] if isinstance(part, str) else part).encode())
    return digest.hexdigest()


def _parts(function: Any) -> Any:  # noqa: ANN401
    """What a function is made of: the name of a function it calls as a string, all else as tuples."""
    arguments = function.signature.input_arg
    places = {named.name: place for place, named in enumerate((*arguments, *function.node_def))}
    yield "arguments", [argument.type for argument in arguments]
    for node in function.node_def:
        yield node.op, node.device, [_reference(text, places) for text in node.input]
        for key, attribute in sorted(node.attr.items()):
            called = [attribute.func] if attribute.HasField("func") else attribute.list.func
            yield from (one.name for one in called)
            if not called and key != _NAME_ATTRIBUTE:
                yield key, attribute.SerializeToString(deterministic=True)
    yield "results", [_reference(function.ret[result.name], places) for result in function.signature.output_arg]


def _reference(text: str, places: Mapping[str, int]) -> tuple[int | str, ...]:
    """An output of a node, `name:output:0`, or a node that must have run before, `^name`, by number of the node."""
    name, *output = text.removeprefix("^").split(":")
    return ("before" if text.startswith("^") else "output", places[name], *output)
