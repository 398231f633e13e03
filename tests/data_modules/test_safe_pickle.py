"""Pickles: honest ones come back as `pickle` would give them, all others are refused unrun."""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import io
import os
import pickle
import pickletools
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.pickle_parts import Array, Name
from data_modules.safe_pickle import PickleRefusedError, read_pickle

RANDOM = np.random.default_rng(0)
HONEST: dict[str, Any] = {
    "none": None,
    "flags": [True, False],
    "ints": [0, 255, 65_535, -1, 2**31, -(10**20)],
    "floats": [1.5, -0.0, 1e300],
    "text": ["", "a$_$1", "Źródło\n", "x" * 70_000],
    "bytes": [b"", b"abc", b"\x00\xff" * 500],
    "tuples": ((), (1,), (1, "b"), (1, 2, 3), (1, 2, 3, 4)),
    "f4": RANDOM.random((3, 4, 5), dtype=np.float32),
    "f8": RANDOM.random((50, 7)),
    "f2": np.arange(4, dtype=np.float16),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big endian": np.arange(5, dtype=">i4"),
    "i8": np.arange(-2, 3),
    "u1": np.arange(3, dtype=np.uint8),
    "bool": np.array([[True], [False]]),
    "unicode": np.array([["ab", "żół"], ["", "c"]]),
    "byte strings": np.array([b"ab", b"c"]),
    "zero-dimensional": np.array(2.5),
    "empty": np.zeros((0, 3, 2), np.float32),
    "objects": np.array([["ab", None], [1.5, "c"]], dtype=object),
    "scalar": np.float32(0.1),
    "scalar text": np.str_("abc"),
    "list of arrays": [np.arange(2), np.arange(3.0)],
}


def numpy_1(data: bytes) -> bytes:
    """The names of NumPy 1, as text (protocols 2 and 3) and after a length (4 and 5)."""
    for module in (b"numpy._core.multiarray", b"numpy._core.numeric"):
        old = module.replace(b"_core", b"core")
        data = data.replace(bytes([0x8C, len(module)]) + module, bytes([0x8C, len(old)]) + old)
        data = data.replace(b"c" + module + b"\n", b"c" + old + b"\n")
    assert b"_core" not in data
    return data


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        equal = one.dtype == other.dtype and one.shape == other.shape
        return bool(equal and (one == other).all())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "data.pkl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("layout", [bytes, numpy_1])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_and_arrays_come_back(
    tmp_path: Path, protocol: int, layout: Callable[[bytes], bytes]
) -> None:
    path = write(tmp_path, layout(pickle.dumps(HONEST, protocol=protocol)))
    found = read_pickle(path)
    assert list(found) == list(HONEST)
    for key, value in HONEST.items():
        assert same(value, found[key]), key


def test_the_python_pickler_without_frames_is_read_too(tmp_path: Path) -> None:
    data = io.BytesIO()
    pickle._Pickler(data, protocol=4).dump(HONEST)
    assert same(HONEST, read_pickle(write(tmp_path, data.getvalue())))


def test_arrays_are_views_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, pickle.dumps(np.arange(1000.0), protocol=5))
    values = read_pickle(path)
    assert not values.flags.owndata
    assert not values.flags.writeable


def test_what_refers_to_itself_stays_one_object(tmp_path: Path) -> None:
    shared = np.arange(3)
    knot: list[Any] = [shared, shared]
    knot.append(knot)
    found = read_pickle(write(tmp_path, pickle.dumps(knot)))
    assert found[0] is found[1]
    assert found[2] is found


class Attack:
    """Pickles as a call."""

    def __init__(self, callee: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.told = (callee, arguments) if state is None else (callee, arguments, state)

    def __reduce__(self) -> Any:
        return self.told


FLAG = "executed"


CODES = {o.name: o.code.encode("latin-1") for o in pickletools.opcodes}


def op(name: str, argument: bytes = b"") -> bytes:
    return CODES[name] + argument


def text(value: str) -> bytes:
    return op("BINUNICODE", struct.pack("<I", len(value)) + value.encode())


def program(*parts: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + b"".join(parts) + b"."


def array_of(shape: tuple[int, ...], code: str, data: bytes) -> bytes:
    """What a pickler writes for an array, with any shape, type and data."""
    return (
        op("GLOBAL", b"numpy.core.multiarray\n_reconstruct\n")
        + op("GLOBAL", b"numpy\nndarray\n")
        + op("BININT1", b"\x00")
        + op("TUPLE1")
        + op("SHORT_BINBYTES", b"\x01b")
        + op("TUPLE3")
        + op("REDUCE")
        + op("MARK")
        + op("BININT1", b"\x01")
        + op("MARK")
        + b"".join(op("LONG1", b"\x08" + struct.pack("<q", side)) for side in shape)
        + op("TUPLE")
        + op("GLOBAL", b"numpy\ndtype\n")
        + text(code)
        + op("NEWFALSE")
        + op("NEWTRUE")
        + op("TUPLE3")
        + op("REDUCE")
        + op("NEWFALSE")
        + data
        + op("TUPLE")
        + op("BUILD")
    )


def as_bytes(data: bytes) -> bytes:
    return op("BINBYTES", struct.pack("<I", len(data)) + data)


CALLS: dict[str, Callable[[str], Any]] = {
    "os.system": lambda flag: Attack(os.system, f"touch {flag}"),
    "subprocess": lambda flag: Attack(subprocess.check_call, ["touch", flag]),
    "builtins.eval": lambda flag: Attack(eval, f"open({flag!r}, 'w')"),
    "builtins.exec": lambda flag: Attack(exec, f"open({flag!r}, 'w')"),
    "builtins.open": lambda flag: Attack(open, flag, "w"),
    "builtins.getattr": lambda flag: Attack(getattr, Attack(__import__, "os"), "system"),
    "pickle.loads": lambda flag: Attack(pickle.loads, pickle.dumps(Attack(open, flag, "w"))),
    "numpy.load": lambda flag: Attack(np.load, flag),
    "numpy.memmap": lambda flag: Attack(np.memmap, flag, "u1", "w+", 0, (4,)),
    "numpy.fromfile": lambda flag: Attack(np.fromfile, "/etc/passwd"),
    "ctypes": lambda flag: Attack(ctypes.CDLL, None),
    "numpy.ndarray itself": lambda flag: Attack(np.ndarray, (10**12,)),
    "path": lambda flag: Attack(Path, flag),
    "object with state": lambda flag: Attack(Array, state={"values": 1}),
    "own placeholder": lambda flag: Name("dtype"),
    "complex": lambda flag: 1j,
    "set": lambda flag: {1, 2},
    "structured array": lambda flag: np.zeros(2, dtype=[("a", "f4")]),
    "dates": lambda flag: np.array(["2020-01-01"], dtype="M8[D]"),
    "long double": lambda flag: np.zeros(2, dtype=np.longdouble),
    "matrix": lambda flag: np.ma.masked_array([1, 2]),
    "function": lambda flag: same,
    "bytearray": lambda flag: {"a": {bytes: 1}},
    "keys that are no text": lambda flag: {1: 2},
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_data_is_refused_unrun(tmp_path: Path, name: str, protocol: int) -> None:
    flag = tmp_path / FLAG
    value = {"train": {"audio": np.zeros(3), "id": [CALLS[name](str(flag))]}}
    path = write(tmp_path, pickle.dumps(value, protocol=protocol))
    with pytest.raises(PickleRefusedError) as caught:
        read_pickle(path)
    assert not flag.exists()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_attacks_work_on_the_usual_reader(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    pickle.loads(pickle.dumps(CALLS["os.system"](str(tmp_path / FLAG))))
    assert (tmp_path / FLAG).exists()


PROGRAMS: dict[str, tuple[bytes, str]] = {
    "INST": (program(b"(" + text("touch x") + b"ios\nsystem\n"), "opcode INST at byte"),
    "OBJ": (program(b"(cos\nsystem\n" + text("x") + b"o"), "the global os.system"),
    "NEWOBJ": (program(b"cnumpy\nndarray\n)\x81"), "opcode NEWOBJ at byte"),
    "NEWOBJ_EX": (program(b"cnumpy\nndarray\n)}\x92"), "opcode NEWOBJ_EX at byte"),
    "PERSID": (program(b"Psomewhere\n"), "opcode PERSID at byte"),
    "BINPERSID": (program(text("a") + b"Q"), "opcode BINPERSID at byte"),
    "EXT1": (program(b"\x82\x01"), "opcode EXT1 at byte"),
    "NEXT_BUFFER": (program(b"\x97", protocol=5), "opcode NEXT_BUFFER at byte"),
    "copyreg": (program(b"ccopyreg\nadd_extension\n"), "the global copyreg.add_extension"),
    "dotted name": (
        program(text("numpy") + text("dtype.__class__.__subclasses__") + b"\x93"),
        "the global numpy.dtype.__class__.__subclasses__",
    ),
    "name that is no text": (program(b"K\x01K\x02\x93"), "which is code and not data"),
    "global kept as data": (program(b"cnumpy\ndtype\n"), "a global among the data"),
    "array type kept as data": (
        program(b"cnumpy\ndtype\n" + text("f4") + b"\x89\x88\x87R"),
        "an array type among the data",
    ),
    "array never filled": (
        program(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"),
        "an array without values",
    ),
    "other shape to reconstruct": (
        program(
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nJ\x00\x00\x00\x7f\x85C\x01b\x87R"
        ),
        "a call of reconstruct with other arguments",
    ),
    "call of a value": (program(text("os") + text("system") + b"\x85R"), "a call of a value"),
    "state of a value": (program(text("a") + b"}b"), "a state for a value of type str"),
    "encode to another code": (
        program(b"c_codecs\nencode\n" + text("a") + text("rot13") + b"\x86R"),
        "a call of encode with other arguments",
    ),
    "array larger than its data": (
        program(array_of((10**11,), "f8", as_bytes(bytes(8)))),
        "an array of 100000000000 values with data for another number",
    ),
    "sides whose product wraps": (
        program(array_of((2**32, 2**32), "f8", as_bytes(b""))),
        "with data for another number",
    ),
    "negative side": (program(array_of((-1,), "f8", as_bytes(bytes(8)))), "no lengths"),
    "endless nothing": (program(array_of((0, 2**50), "f8", as_bytes(b""))), "no lengths"),
    "text of no width": (program(array_of((2**30,), "U0", as_bytes(b""))), "without data"),
    "pointers as bytes": (
        program(array_of((1,), "O8", as_bytes(b"A" * 8))),
        "an array of objects that is no list",
    ),
    "type of a type string": (
        program(array_of((1,), "f4,f4", as_bytes(bytes(8)))),
        "an array of type 'f4,f4'",
    ),
    "impossible character": (
        program(array_of((1,), "U1", as_bytes(b"\xff\xff\xff\x7f"))),
        "text with characters that do not exist",
    ),
    "truth beyond 1": (program(array_of((1,), "b1", as_bytes(b"\x02"))), "truth values other"),
    "announced gigabytes of bytes": (
        program(op("BINBYTES", b"\xff\xff\xff\xff") + b"abc"),
        "4294967295 bytes announced where the file has 4 left",
    ),
    "announced exabytes of bytes": (
        program(op("BINBYTES8", struct.pack("<Q", 2**62)) + b"abc"),
        "bytes announced where",
    ),
    "announced exabytes of text": (
        program(op("BINUNICODE8", struct.pack("<Q", 2**63)) + b"abc"),
        "damage|bytes announced where",
    ),
    "name without end": (program(b"c" + b"a" * 10_000), "a name without an end"),
    "value that is none": (program(b"h\x05"), "a reference to value 5"),
    "nothing to append": (program(b"a"), "without what it works on"),
    "mark that is none": (program(b"t"), "without what it works on"),
    "operand below a mark": (
        program(b"](K\x01a"),
        "opcode APPEND at byte 6 without what it works on",
    ),
    "appended to text": (program(text("a") + b"K\x01a"), "values appended to a value of type str"),
    "odd items": (program(b"}(K\x01u"), "items for"),
    "key twice": (program(b"}" + (text("a") + b"Ns") * 2), "the key 'a' twice"),
    "two values": (program(b"NN"), "2 values at the end"),
    "open mark": (program(b"N("), "1 values at the end"),
    "more after the end": (program(b"N") + b"cos\nsystem\n", "more bytes after its end"),
    "two pickles": (pickle.dumps(1) + pickle.dumps(2), "more bytes after its end"),
    "protocol 6": (b"\x80\x06N.", "pickle protocol 6"),
    "protocol 0": (pickle.dumps([1, "a"], protocol=0), "does not start as these do"),
    "Python 2": (b"\x80\x02U\x03abcq\x00.", "opcode SHORT_BINSTRING at byte 2"),
    "unknown opcode": (program(b"\xff"), r"byte b'\\xff' for an opcode at byte 2"),
    "no end": (b"\x80\x04N", "1 bytes announced where the file has 0 left"),
    "empty": (b"", "does not start as these do"),
    "text file": (b"train,valid\n1,2\n", "does not start as these do"),
    "zip": (b"PK\x03\x04" + bytes(30), "does not start as these do"),
    "text that is not UTF-8": (program(op("BINUNICODE", b"\x01\0\0\0\xff")), "damage"),
    "tower of lists": (program(b"]" * 50 + b"a" * 49), "nested more than 32 deep"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_crafted_and_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    data, told = PROGRAMS[name]
    with pytest.raises(PickleRefusedError, match=told):
        read_pickle(write(tmp_path, data))


def test_few_bytes_do_not_become_many(tmp_path: Path) -> None:
    # a text of a megabyte, encoded a thousand times
    call = b"h\x00h\x01" + b"\x86R"
    encode = b"c_codecs\nencode\nq\x02"
    bulk = text("a" * 2**20) + b"q\x00" + text("latin1") + b"q\x01" + encode
    bomb = program(b"(" + bulk + b"(" + (b"h\x02" + call) * 1000 + b"tt")
    with pytest.raises(PickleRefusedError, match="unfolded over and over"):
        read_pickle(write(tmp_path, bomb))
    # thirty tuples of the one before, twice: a billion leaves
    tower = b"N" + b"".join(b"q%ch%c\x86" % (k, k) for k in range(30))
    assert read_pickle(write(tmp_path, program(tower)))[0] is not None
    # a kilobyte that a thousand places of a list share stays one
    shared = as_bytes(bytes(1024)) + b"q\x00"
    found = read_pickle(write(tmp_path, program(b"](" + shared + b"h\x00" * 1000 + b"e")))
    assert len({id(one) for one in found}) == 1


def test_endless_steps_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_modules.safe_pickle.MAX_STEPS", 1000)
    with pytest.raises(PickleRefusedError, match="more than 1000 steps"):
        read_pickle(write(tmp_path, program(b"]" + b"Na" * 1000)))


SMALL = {"a": np.arange(4.0), "b": ["x", "y"], "c": np.array(["ab", "c"]), "d": np.float32(1)}


@pytest.mark.parametrize("protocol", [2, 5])
def test_every_truncated_file_is_refused(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps(SMALL, protocol=protocol)
    for length in range(len(data)):
        with pytest.raises(PickleRefusedError):
            read_pickle(write(tmp_path, data[:length]))


@settings(max_examples=800)
@given(
    st.sampled_from([2, 3, 4, 5]),
    st.lists(st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=6)), max_size=3),
)
def test_a_mutated_file_is_read_or_refused(
    tmp_path: Path, protocol: int, changes: list[tuple[int, bytes]]
) -> None:
    data = pickle.dumps(SMALL, protocol=protocol)
    for place, new in changes:
        data = data[:place] + new + data[place + len(new) :]
    forbidden = pytest.MonkeyPatch()
    with forbidden.context() as patch:
        # whatever the bytes say, nothing is imported on their behalf
        patch.setattr(builtins, "__import__", _no_import)
        with contextlib.suppress(PickleRefusedError):
            read_pickle(write(tmp_path, data))


def _no_import(name: str, *arguments: Any, **options: Any) -> Any:
    # NumPy and pathlib load parts of their own when first used, which the files cannot name
    assert name not in {"os.path", "subprocess", "ctypes"}, name
    return _IMPORT(name, *arguments, **options)


_IMPORT = builtins.__import__


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_noise_is_refused_or_read(tmp_path: Path, noise: bytes) -> None:
    with contextlib.suppress(PickleRefusedError):
        read_pickle(write(tmp_path, b"\x80\x04" + noise))
