"""Pickles of plain data and NumPy arrays, read by a machine of our own that can build nothing else.

The two usual guards are not enough. A scan of the opcodes before ``pickle.load`` has to foresee
what ``pickle`` will do with them. An unpickler whose ``find_class`` knows a short list still calls
what is on the list: ``_reconstruct`` allocates any shape that it is told, and ``BUILD`` runs
``dtype.__setstate__`` and ``ndarray.__setstate__``, C code that trusts its caller, on values from
the file. Here nothing from the file is imported, called, or given a state: a global is a word that
is looked up in ``_GLOBALS``, and what it stands for is done by this file after its own checks.

Opcodes are refused before their arguments are read. No length is believed before the file is known
to be that long. Arrays are views of the mapped file. What a few bytes could make large (a text that
is encoded a thousand times, a tuple of tuples of itself) is counted, or done once.

What can be read: None, bool, int, float, str, bytes, tuple, list, dict with str keys, and arrays
and scalars of truth values, numbers, text, bytes and objects of these kinds; protocols 2 to 5, as
NumPy 1 and 2 write them.
"""

from __future__ import annotations

import mmap
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from data_modules.errors import DataError
from data_modules.pickle_parts import (
    DTYPE_CODE,
    Allowance,
    Array,
    Dtype,
    MappedFile,
    Name,
    Refusal,
    fill,
    resolve,
    told,
)

MAX_STEPS = 20_000_000
"""Opcodes in a file; an array takes about thirty, a word or a number two."""

_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy.core.multiarray", "scalar"): "scalar",
    ("numpy._core.multiarray", "scalar"): "scalar",
    ("numpy.core.numeric", "_frombuffer"): "frombuffer",
    ("numpy._core.numeric", "_frombuffer"): "frombuffer",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    # how protocol 2 writes bytes
    ("_codecs", "encode"): "encode",
    ("__builtin__", "bytes"): "bytes",
}
"""What a file may name; each is a branch of ``_Machine._call``, and none is ever imported."""


class PickleRefusedError(DataError):
    """A pickle holds, or asks for, something other than plain data and arrays."""


def read_pickle(path: Path) -> Any:
    """Read a pickle of plain data and arrays; nothing in it is run, whatever it says.

    Args:
        path: A file in pickle protocol 2 to 5.

    Returns:
        What it holds. Arrays are read-only views of the file, which must stay as it is while
        they are used; byte strings are ``bytes``.

    Raises:
        PickleRefusedError: It holds anything else, or is damaged.
    """
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            if size < 2 or stream.read(1) != b"\x80":
                raise Refusal("a file that does not start as these do")
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        machine = _Machine(MappedFile(data))
        return machine.run()
    except Refusal as refusal:
        _refuse(path, str(refusal))
    # a damaged file fails in pickletools (ValueError), in NumPy, or as an operand of the wrong type
    except (ValueError, TypeError, OverflowError, MemoryError, UnicodeError) as error:
        _refuse(path, f"damage ({type(error).__name__}: {error})")
    except OSError as error:
        raise DataError(
            path,
            expected="a file that can be read",
            got=error.strerror or type(error).__name__,
            fix="correct the path",
        ) from None


def _refuse(path: Path, got: str) -> NoReturn:
    raise PickleRefusedError(
        path,
        expected="a pickle (protocol 2 to 5) of plain data and NumPy arrays",
        got=" ".join(got.split())[:200],
        fix="get the file from its publishers again, and open it with nothing else until then",
    ) from None


class _Machine:
    """A stack machine for the harmless opcodes.

    Args:
        stream: At the start of the pickle.
    """

    def __init__(self, stream: MappedFile) -> None:
        self._stream = stream
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._allowance = Allowance(8 * stream.left)

    def run(self) -> Any:
        """Follow the opcodes up to STOP."""
        if self._opcode() != "PROTO":
            raise Refusal("a pickle of protocol 0 or 1")
        for _ in range(MAX_STEPS):
            if self._opcode() == "STOP":
                break
        else:
            raise Refusal(f"more than {MAX_STEPS} steps, as no file of arrays needs")
        if len(self._stack) != 1 or self._marks:
            raise Refusal(f"{len(self._stack)} values at the end")
        if self._stream.left:
            raise Refusal("more bytes after its end")
        return resolve(self._stack[0])

    def _opcode(self) -> str:
        place = self._stream.position
        code = bytes(self._stream.read(1))
        if code not in _OPCODES:
            named = _OTHER_OPCODES.get(code)
            told = f"opcode {named}" if named else f"byte {code!r} for an opcode"
            raise Refusal(f"{told} at byte {place}")
        name, reader, act = _OPCODES[code]
        try:
            argument = reader(cast(IO[bytes], self._stream)) if reader else None
            act(self, argument)
        except IndexError:
            raise Refusal(f"opcode {name} at byte {place} without what it works on") from None
        except Refusal as refusal:
            raise Refusal(f"{refusal}, at byte {place}") from None
        return name

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _top(self) -> Any:
        # below a mark lie the operands of what the mark belongs to
        if self._marks and len(self._stack) <= self._marks[-1]:
            raise IndexError
        return self._stack[-1]

    def _pop(self) -> Any:
        self._top()
        return self._stack.pop()

    def _pop_mark(self) -> list[Any]:
        mark = self._marks.pop()
        values = self._stack[mark:]
        del self._stack[mark:]
        return values

    def _memoize(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self._top()

    def _recall(self, place: int) -> None:
        if place not in self._memo:
            raise Refusal(f"a reference to value {place}, which is none")
        self._push(self._memo[place])

    def _tuple(self, count: int) -> None:
        self._push(tuple([self._pop() for _ in range(count)][::-1]))

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            raise Refusal(f"values appended to {told(target)}")
        target.extend(values)

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not dict or len(values) % 2:
            raise Refusal(f"items for {told(target)}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) is not str:
                raise Refusal(f"{told(key)} as a key")
            if key in target:
                raise Refusal(f"the key {key[:40]!r} twice")
            target[key] = value

    def _global(self, module: Any, name: Any) -> None:
        word = _GLOBALS.get((module, name)) if type(module) is type(name) is str else None
        if word is None:
            shown = f"{module!s:.80}.{name!s:.80}" if type(module) is str else told(module)
            raise Refusal(f"the global {shown}, which is code and not data")
        self._push(Name(word))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        self._global(module, name)

    def _reduce(self) -> None:
        arguments, callee = self._pop(), self._pop()
        if type(callee) is not Name or type(arguments) is not tuple:
            raise Refusal(f"a call of {told(callee)}")
        self._push(self._call(callee.word, arguments))

    def _call(self, word: str, arguments: tuple[Any, ...]) -> Any:
        """What a call stands for, done here."""
        match word, arguments:
            case "reconstruct", (Name("ndarray"), (0,), b"b"):
                return Array()
            case "dtype", (str(code), bool() | 0 | 1, bool() | 0 | 1):
                if not DTYPE_CODE.fullmatch(code):
                    raise Refusal(f"an array of type {code[:20]!r}")
                return Dtype(code)
            case "encode", (str(text), "latin1" | "latin-1"):
                self._allowance.take(len(text))
                return text.encode("latin-1")
            case "bytes", ():
                return b""
            case "scalar", (Dtype() as dtype, (bytes() | memoryview()) as data):
                return fill((), dtype, "C", data, self._allowance)[()].item()
            case "frombuffer", (
                (bytes() | memoryview()) as data,
                Dtype() as dtype,
                tuple(shape),
                ("C" | "F") as order,
            ):
                return Array(fill(shape, dtype, order, data, self._allowance))
        raise Refusal(f"a call of {word} with other arguments than an array's")

    def _build(self) -> None:
        state, target = self._pop(), self._top()
        match target, state:
            # fields, a subarray or metadata (after the byte order) are None in plain types
            case Dtype(order=""), (3, ("<" | ">" | "|") as order, None, None, None, *sizes):
                if len(sizes) != 3 or any(type(size) is not int for size in sizes):
                    raise Refusal("an array type with other fields than a plain one's")
                target.order = order
            case Array(values=None), (1, tuple(shape), Dtype() as dtype, fortran, data):
                target.values = fill(shape, dtype, "F" if fortran else "C", data, self._allowance)
            case _:
                raise Refusal(f"a state for {told(target)}")


_Reader = Callable[[IO[bytes]], Any]
_Act = Callable[[_Machine, Any], None]


def _protocol(machine: _Machine, number: int) -> None:
    if not 2 <= number <= 5:
        raise Refusal(f"pickle protocol {number}")


_ACTS: dict[str, _Act] = {
    "PROTO": _protocol,
    "FRAME": lambda machine, size: None,
    "STOP": lambda machine, _: None,
    "MARK": lambda machine, _: machine._marks.append(len(machine._stack)),
    "NONE": lambda machine, _: machine._push(None),
    "NEWTRUE": lambda machine, _: machine._push(True),
    "NEWFALSE": lambda machine, _: machine._push(False),
    **dict.fromkeys(
        (
            *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
            *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
            *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        ),
        lambda machine, value: machine._push(value),
    ),
    "EMPTY_LIST": lambda machine, _: machine._push([]),
    "EMPTY_DICT": lambda machine, _: machine._push({}),
    "EMPTY_TUPLE": lambda machine, _: machine._push(()),
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "TUPLE": lambda machine, _: machine._push(tuple(machine._pop_mark())),
    "APPEND": lambda machine, _: machine._extend([machine._pop()]),
    "APPENDS": lambda machine, _: machine._extend(machine._pop_mark()),
    "SETITEM": lambda machine, _: machine._set_items([machine._pop(), machine._pop()][::-1]),
    "SETITEMS": lambda machine, _: machine._set_items(machine._pop_mark()),
    "MEMOIZE": lambda machine, _: machine._memoize(None),
    "BINPUT": lambda machine, place: machine._memoize(place),
    "LONG_BINPUT": lambda machine, place: machine._memoize(place),
    "BINGET": lambda machine, place: machine._recall(place),
    "LONG_BINGET": lambda machine, place: machine._recall(place),
    "GLOBAL": lambda machine, words: machine._global(*words),
    "STACK_GLOBAL": lambda machine, _: machine._stack_global(),
    "REDUCE": lambda machine, _: machine._reduce(),
    "BUILD": lambda machine, _: machine._build(),
}


def _read_names(stream: IO[bytes]) -> tuple[str, str]:
    # without the escapes that the reader of pickletools would undo
    return stream.readline()[:-1].decode("ascii"), stream.readline()[:-1].decode("ascii")


def _reader(opcode: pickletools.OpcodeInfo) -> _Reader | None:
    if opcode.name == "GLOBAL":
        return _read_names
    if opcode.name == "BYTEARRAY8":
        # laid out as BINBYTES8, whose reader does not copy
        return pickletools.read_bytes8
    return opcode.arg.reader if opcode.arg is not None else None


_OPCODES: dict[bytes, tuple[str, _Reader | None, _Act]] = {
    opcode.code.encode("latin-1"): (opcode.name, _reader(opcode), _ACTS[opcode.name])
    for opcode in pickletools.opcodes
    if opcode.name in _ACTS
}
_OTHER_OPCODES = {
    opcode.code.encode("latin-1"): opcode.name
    for opcode in pickletools.opcodes
    if opcode.name not in _ACTS
}
