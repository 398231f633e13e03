"""Damage to files, the same for the same seed: what disks, editors, spreadsheets and people do.

Each mutation takes bytes and gives bytes. Those of text look for lines, numbers and separators;
where a file has none of what they change, it comes back as it was.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

Mutation = Callable[[random.Random, bytes], bytes]

_NUMBERS = (
    *("nan", "inf", "-inf", "NaN", "Infinity", "1e999", "-1", "0", "-0.0", "1e-320", "0x10", "1_0"),
    *("1.5.2", "", " ", "true", "null", "1,5", "٣", "²", "9" * 30, "9" * 400, "9" * 5000, "1e308"),
    *("16001", "4294967295", "9223372036854775807", "9223372036854775808", "0.30000000000000004"),
)
_TEXTS = (
    *("", " ", '"', '""', "'", "\\", "\0", "\t", "\r", "\x1b[31m", "\u2028", "\x85", "\ufeff"),
    *("../../x", "/etc/passwd", "..", ".", "a" * 300, "ä" * 200, "🙂", "e\u0301", "${oc.env:HOME}"),
    *("???", "null", "~", "no", "2001-99-99", "0b_", "[", "{", "]", "}", "&a", "*a", "!!python/x"),
    *("=", "%", "#", "Ses01F_impro01_F000", "$_$", "[0]", "a.b", "__class__", "\\ud800", "<<"),
)
_SURROGATE = b"\xed\xa0\x80"
_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
_WORD = re.compile(rb"[A-Za-z_]{2,}")
_STRING = re.compile(rb'"[^"\n]{0,80}"')
_VALUE = re.compile(rb'("[^"\n]{0,80}"|-?[0-9.]+|true|false|null|\[[^\[\]\n]{0,80}\])')
_SEPARATORS = (b"\t", b",", b";", b":", b" ", b"\n", b"-", b"_", b'"', b"[", b"]", b"{", b"}", b"=")
_JSON_VALUES = (
    *(b"null", b"true", b"[]", b"{}", b"1", b"-1", b"1.5", b'""', b'"x"', b'"\\ud800"', b"1e999"),
    *(b"NaN", b"-Infinity", b"[[]]", b'{"": {}}', b'"a\\u0000b"', b'"a\\nb"', b"9" * 400),
    *(b"9" * 5000, b"[" * 200 + b"]" * 200, b"[" * 100_000, b'{"a":' * 100_000, b"1e308"),
)
_YAML_LINES = (
    *("? [a]", "? {a: 1}", "<<: *a", "&a a: *a", "x: &b [*b]", "x: &c {y: *c}", "x: 2001-99-99"),
    *("x: !!timestamp x", "x: !!int a", "x: 0b_", "x: !!float a", "x: !!binary a", "x: !!set {a}"),
    *("x: !!python/object:os.system {}", "x: !!omap [a]", "%YAML 9.9", "---", "...", "\t", "x: |"),
    *("x: >", "'", '"', "x: !!null a", "x: !!str [a]", "x: !!bool a", '"\\ud800": 1', "x: 1:99"),
    *("<<: {a: 1}", "<<: 1", "<<: [1]", "? ", ": ", "x: '\\0'", "x: !!pairs [a]", "x: &a", "x: *z"),
    "x: " + "[" * 20_000,
    "x: " + "{a: " * 20_000,
    "b0: &b0 [1]\n"
    + "\n".join(f"b{k}: &b{k} [{', '.join([f'*b{k - 1}'] * 9)}]" for k in range(1, 30)),
    "m0: &m0 {a: 1}\n"
    + "\n".join(f"m{k}: &m{k} {{a: *m{k - 1}, b: *m{k - 1}}}" for k in range(1, 40)),
    "s: &s {<<: *s}",
)


def _place(rng: random.Random, data: bytes) -> int:
    return rng.randrange(len(data)) if data else 0


def _stretch(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = _place(rng, data)
    return start, min(len(data), start + rng.choice((1, 2, 4, 8, 16, 64, 256)))


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8)) if data else 0):
        changed[_place(rng, data)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_bytes(rng: random.Random, data: bytes) -> bytes:
    start, stop = _stretch(rng, data)
    value = rng.choice((0x00, 0xFF, 0x7F, 0x80, rng.randrange(256)))
    return data[:start] + bytes([value]) * (stop - start) + data[stop:]


def truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.choice((0, 1, _place(rng, data), len(data) - 1, _place(rng, data)))]


def delete_stretch(rng: random.Random, data: bytes) -> bytes:
    start, stop = _stretch(rng, data)
    return data[:start] + data[stop:]


def double_stretch(rng: random.Random, data: bytes) -> bytes:
    start, stop = _stretch(rng, data)
    return data[:stop] + data[start:]


def insert_noise(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 16, 300))) + data[at:]


def append_noise(rng: random.Random, data: bytes) -> bytes:
    return data + rng.choice((b"\0", b"\0" * 512, rng.randbytes(40), data, b"\n", b"\x1a"))


def swap_stretches(rng: random.Random, data: bytes) -> bytes:
    a, b, c, d = sorted(_place(rng, data) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


BINARY: tuple[Mutation, ...] = (
    *(flip_bits, set_bytes, truncate, delete_stretch),
    *(double_stretch, insert_noise, append_noise, swap_stretches),
)


def _lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")


def delete_line(rng: random.Random, data: bytes) -> bytes:
    lines = _lines(data)
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def double_line(rng: random.Random, data: bytes) -> bytes:
    lines = _lines(data)
    line = rng.choice(lines)
    lines.insert(rng.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def swap_lines(rng: random.Random, data: bytes) -> bytes:
    lines = _lines(data)
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def join_lines(rng: random.Random, data: bytes) -> bytes:
    lines = _lines(data)
    if len(lines) > 1:
        at = rng.randrange(len(lines) - 1)
        lines[at : at + 2] = [lines[at] + lines[at + 1]]
    return b"\n".join(lines)


def break_line(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + rng.choice((b"\n", b"\r", b"\r\n", b"\n\n", b"\x0b", b"\x0c")) + data[at:]


def long_line(rng: random.Random, data: bytes) -> bytes:
    lines = _lines(data)
    at = rng.randrange(len(lines))
    start, stop = _stretch(rng, lines[at])
    piece = lines[at][start:stop] or b"x"
    lines[at] = lines[at][:stop] + piece * (rng.choice((2_000, 200_000)) // len(piece))
    return b"\n".join(lines)


def _replace(rng: random.Random, data: bytes, pattern: re.Pattern[bytes], new: bytes) -> bytes:
    found = list(pattern.finditer(data, *_window(rng, data)))
    if not found:
        return data
    match = rng.choice(found)
    return data[: match.start()] + new + data[match.end() :]


def _window(rng: random.Random, data: bytes) -> tuple[int, int]:
    """Some kilobytes: whole large files would take long to search."""
    start = max(0, _place(rng, data) - 1000)
    return start, start + 4000


def change_number(rng: random.Random, data: bytes) -> bytes:
    return _replace(rng, data, _NUMBER, rng.choice(_NUMBERS).encode())


def change_word(rng: random.Random, data: bytes) -> bytes:
    new = rng.choice(_TEXTS).encode() if rng.random() < 0.9 else _SURROGATE
    return _replace(rng, data, _WORD, new)


def insert_text(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + rng.choice(_TEXTS).encode() + data[at:]


def change_separator(rng: random.Random, data: bytes) -> bytes:
    old, new = rng.choice(_SEPARATORS), rng.choice((*_SEPARATORS, b""))
    return _replace(rng, data, re.compile(re.escape(old)), new)


def empty_line_ends(rng: random.Random, data: bytes) -> bytes:
    return data.replace(b"\n", rng.choice((b"\r", b"\r\n", b"\n\n", b" ", b"")))


def change_encoding(rng: random.Random, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace")
    kind = rng.choice(
        ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "utf-8-sig", "cp1252")
    )
    return text.encode(kind, "replace")


TEXT: tuple[Mutation, ...] = (
    *(delete_line, double_line, swap_lines, join_lines, break_line, long_line, empty_line_ends),
    *(change_number, change_number, change_word, change_word, insert_text, change_separator),
    *(change_separator, change_encoding, *BINARY),
)


def change_value(rng: random.Random, data: bytes) -> bytes:
    return _replace(rng, data, _VALUE, rng.choice(_JSON_VALUES))


def change_key(rng: random.Random, data: bytes) -> bytes:
    keys = _STRING.findall(data, *_window(rng, data)) or [b'"x"']
    return _replace(rng, data, _STRING, rng.choice((*keys, b'"x"', b'""', b'"\\ud800"', b"1")))


def replace_all(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((*_JSON_VALUES, b"", b" ", b"\n", b"\xff"))


JSON: tuple[Mutation, ...] = (change_value, change_value, change_key, replace_all, *TEXT)


def insert_yaml(rng: random.Random, data: bytes) -> bytes:
    lines = _lines(data)
    at = rng.randrange(len(lines) + 1)
    new = rng.choice(_YAML_LINES)
    before = lines[at - 1] if at else b""
    indent = len(before) - len(before.lstrip(b" "))
    lines.insert(at, "\n".join(" " * indent + line for line in new.split("\n")).encode())
    return b"\n".join(lines)


def change_yaml_value(rng: random.Random, data: bytes) -> bytes:
    lines = _lines(data)
    at = rng.randrange(len(lines))
    key, colon, _ = lines[at].partition(b":")
    value = rng.choice(_YAML_LINES).partition(": ")[2] or rng.choice((*_TEXTS, *_NUMBERS))
    if colon:
        lines[at] = key + b": " + value.encode()
    return b"\n".join(lines)


YAML: tuple[Mutation, ...] = (insert_yaml, insert_yaml, change_yaml_value, change_yaml_value, *TEXT)


def mutate(rng: random.Random, data: bytes, kind: tuple[Mutation, ...]) -> tuple[bytes, str]:
    """Damage a file.

    Args:
        rng: Decides everything.
        data: The sound file.
        kind: ``TEXT``, ``JSON``, ``YAML`` or ``BINARY``.

    Returns:
        Other bytes as a rule, and what was done to them.
    """
    chosen = [rng.choice(kind) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    for mutation in chosen:
        data = mutation(rng, data)
    return data, " + ".join(mutation.__name__ for mutation in chosen)
