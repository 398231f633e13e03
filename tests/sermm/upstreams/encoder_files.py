"""Makes small encoders in the formats of TensorFlow Lite and ONNX, without a converter."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

STRETCH = 8
"""Samples that the TensorFlow Lite encoder takes at once."""


def running_sum(*, stretch: int = STRETCH, inputs: int = 1, dtype: str = "FLOAT32") -> bytes:
    """A TensorFlow Lite file ``(1, stretch)`` to ``(1, 2, stretch / 2)`` that adds up its input.

    What it gives is the sum of this stretch and those before, position by position: the value of a
    clip alone only if it begins from nothing.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as tfl

    def tensor(name: str, shape: Sequence[int], kind: str, buffer: int = 0) -> Any:
        made = tfl.TensorT()
        made.name, made.shape, made.buffer = name.encode(), list(shape), buffer
        made.type = getattr(tfl.TensorType, kind)
        return made

    codes = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "ADD", "RESHAPE", "CALL_ONCE")

    def operator(code: str, given: Sequence[int], gives: Sequence[int], options: Any = None) -> Any:
        made = tfl.OperatorT()
        made.opcodeIndex = codes.index(code)
        made.inputs, made.outputs = list(given), list(gives)
        if options is not None:
            made.builtinOptions = options
            kind = type(options).__name__.removesuffix("T")
            made.builtinOptionsType = getattr(tfl.BuiltinOptions, kind)
        return made

    def handle() -> Any:
        options = tfl.VarHandleOptionsT()
        options.container, options.sharedName = b"", b"sum"
        return options

    def graph(name: str, tensors: Any, operators: Any, given: Any, gives: Any) -> Any:
        made = tfl.SubGraphT()
        made.name, made.tensors, made.operators = name.encode(), tensors, operators
        made.inputs, made.outputs = given, gives
        return made

    once = tfl.CallOnceOptionsT()
    once.initSubgraphIndex = 1
    row, pair = (1, stretch), (1, 2, stretch // 2)
    main = graph(
        "main",
        [
            tensor("samples", row, dtype),
            tensor("handle", (), "RESOURCE"),
            tensor("before", row, dtype),
            tensor("after", row, dtype),
            tensor("shape", (3,), "INT32", 1),
            tensor("frames", pair, dtype),
            *(tensor(f"more{k}", row, dtype) for k in range(inputs - 1)),
        ],
        [
            operator("CALL_ONCE", [], [], once),
            operator("VAR_HANDLE", [], [1], handle()),
            operator("READ_VARIABLE", [1], [2], tfl.ReadVariableOptionsT()),
            operator("ADD", [0, 2], [3], tfl.AddOptionsT()),
            operator("ASSIGN_VARIABLE", [1, 3], [], tfl.AssignVariableOptionsT()),
            operator("RESHAPE", [3, 4], [5], tfl.ReshapeOptionsT()),
        ],
        [0, *range(6, 5 + inputs)],
        [5],
    )
    start = graph(
        "start",
        [tensor("handle", (), "RESOURCE"), tensor("zeros", row, dtype, 2)],
        [
            operator("VAR_HANDLE", [], [0], handle()),
            operator("ASSIGN_VARIABLE", [0, 1], [], tfl.AssignVariableOptionsT()),
        ],
        [],
        [],
    )
    model = tfl.ModelT()
    model.version, model.subgraphs = 3, [main, start]
    model.operatorCodes = []
    for code in codes:
        made = tfl.OperatorCodeT()
        made.builtinCode = getattr(tfl.BuiltinOperator, code)
        made.deprecatedBuiltinCode, made.version = min(made.builtinCode, 127), 1
        model.operatorCodes.append(made)
    contents = (b"", np.int32(pair).tobytes(), np.zeros(row, np.float32).tobytes())
    model.buffers = []
    for content in contents:
        buffer = tfl.BufferT()
        buffer.data = list(content)
        model.buffers.append(buffer)
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def convolution(
    weight: np.ndarray, *, stride: int, length: int | str = "samples", outside: str = ""
) -> bytes:
    """An ONNX file ``(1, length)`` to ``(1, F, D)``: one convolution without bias over the samples.

    Args:
        weight: ``(D, 1, window)`` float32.
        stride: Samples from one frame to the next.
        length: Samples of a stretch, or a name if any length will do.
        outside: A file that the weights are said to lie in.
    """
    dim, _, window = weight.shape
    frames: int | str = (length - window) // stride + 1 if isinstance(length, int) else "frames"
    nodes = [
        _node("Unsqueeze", ["samples", "axis"], ["channel"]),
        _node("Conv", ["channel", "weight"], ["columns"], strides=[stride]),
        _node("Transpose", ["columns"], ["frames"], perm=[0, 2, 1]),
    ]
    values = _bytes(9, weight.astype("<f4").tobytes())
    if outside:
        values = _bytes(13, _bytes(1, b"location") + _bytes(2, outside.encode())) + _int(14, 1)
    tensors = [
        b"".join(_int(1, n) for n in weight.shape) + _int(2, 1) + _bytes(8, b"weight") + values,
        _int(1, 1) + _int(2, 7) + _bytes(8, b"axis") + _bytes(9, struct.pack("<q", 1)),
    ]
    graph = (
        b"".join(_bytes(1, node) for node in nodes)
        + _bytes(2, b"convolution")
        + b"".join(_bytes(5, tensor) for tensor in tensors)
        + _bytes(11, _value("samples", [1, length]))
        + _bytes(12, _value("frames", [1, frames, dim]))
    )
    return _int(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _int(2, 13))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _int(tag: int, number: int) -> bytes:
    return _varint(tag << 3) + _varint(number)


def _bytes(tag: int, content: bytes) -> bytes:
    return _varint(tag << 3 | 2) + _varint(len(content)) + content


def _node(kind: str, inputs: list[str], outputs: list[str], **lists: list[int]) -> bytes:
    attributes = [
        _bytes(1, name.encode()) + b"".join(_int(8, n) for n in numbers) + _int(20, 7)
        for name, numbers in lists.items()
    ]
    return (
        b"".join(_bytes(1, name.encode()) for name in inputs)
        + b"".join(_bytes(2, name.encode()) for name in outputs)
        + _bytes(4, kind.encode())
        + b"".join(_bytes(5, attribute) for attribute in attributes)
    )


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = [_int(1, n) if isinstance(n, int) else _bytes(2, n.encode()) for n in shape]
    kind = _int(1, 1) + _bytes(2, b"".join(_bytes(1, size) for size in sizes))
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, kind))
