"""JSON that can be used whole: one exception for all that is wrong with it."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """A value from JSON; bytes are UTF-8, with or without a mark of byte order.

    Raises:
        ValueError: It is no JSON or no UTF-8, nests too deep, or spells half of a character, which
            no file can hold.
    """
    if isinstance(text, bytes):
        # not left to json, which takes UTF-16 too and lets halves of characters through
        text = text.decode()
    if text[:1] == "\ufeff":
        text = text[1:]
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("half of a character") from None
    except RecursionError:
        raise ValueError("values within values too deep") from None
    return value
