"""What a request's body may be: JSON Schemas that are published as they are, and the check against them.

>>> check({"pair": 3, "lease": "abc"}, BODIES["release"])
>>> check({"pair": "3", "lease": "abc"}, BODIES["release"])
Traceback (most recent call last):
operant.studio.problems.Problem: expected body.pair to be an integer; got a string. Send JSON as /api/openapi.json says.
"""

import json
import re
from typing import Any

import anyio
from starlette.requests import Request

from operant.studio.problems import Problem
from operant.teachers import Answer

MOST_BYTES = 16_384
PATIENCE = 10.0
"""Seconds in which a body must have come."""
LARGEST = 2**31 - 1
"""The largest number a store gives to a pair."""

PAIR = {"type": "integer", "minimum": 1, "maximum": LARGEST, "description": "A pair's id."}
LEASE = {
    "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[A-Za-z0-9_.~-]+$",
    "description": "What /api/next gave with the pair.",
}  # fmt: skip
BESIDES = {
    "type": "array", "items": PAIR, "maxItems": 8,
    "description": "Pairs this page holds already: another one is wanted.",
}  # fmt: skip
KEY = {
    "type": "string", "minLength": 8, "maxLength": 64, "pattern": "^[A-Za-z0-9_-]+$",
    "description": "Made by the page, once for each answer or undo: sent again, it changes nothing.",
}  # fmt: skip
LETTER = (
    "A-Za-z0-9À-ɏΑ-ΡΣ-ωЀ-ԯא-תؠ-يअ-हก-ะぁ-ゖァ-ヺ一-龥가-힣"  # whole stretches of letters: no gap that cannot be printed
)
NAME = {
    "type": "string", "minLength": 1, "maxLength": 60,
    "pattern": f"^[{LETTER}][^\\u0000-\\u001f\\u007f-\\u009f]*$",
    "description": "Who answers; stored with every answer, without what cannot be printed.",
}  # fmt: skip


def _body(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(required), "additionalProperties": False,
    }  # fmt: skip


SEAT = {
    "type": "string", "minLength": 8, "maxLength": 64, "pattern": "^[A-Za-z0-9_-]+$",
    "description": "What /api/record/begin gave.",
}  # fmt: skip
ACTION = {
    "type": "array", "maxItems": 64, "items": {"type": "number", "minimum": -1e9, "maximum": 1e9},
    "description": "The action, flat: one number where actions are counted.",
}  # fmt: skip

BODIES: dict[str, dict[str, Any]] = {
    "name": _body(("name",), name=NAME),
    "next": _body(besides=BESIDES),
    "answer": _body(
        ("pair", "answer", "lease", "key", "seconds"),
        pair=PAIR,
        answer={"type": "string", "enum": [a.name for a in Answer], "description": "Which one is better."},
        lease=LEASE,
        key=KEY,
        seconds={"type": "number", "minimum": 0, "maximum": 1e6, "description": "Taken to answer."},
    ),
    "skip": _body(("pair", "lease"), pair=PAIR, lease=LEASE),
    "undo": _body(("key",), key=KEY),
    "renew": _body(("pair", "lease"), pair=PAIR, lease=LEASE),
    "release": _body(("pair", "lease"), pair=PAIR, lease=LEASE),
    "record_begin": _body(),
    "record_look": _body(("session",), session=SEAT),
    "record_step": _body(
        ("session", "t", "action"),
        session=SEAT,
        t={"type": "integer", "minimum": 0, "maximum": 10**6, "description": "Steps taken before this one."},
        action=ACTION,
    ),
    "record_restart": _body(("session",), session=SEAT),
    "record_keep": _body(("session", "key"), session=SEAT, key=KEY),
    "record_leave": _body(("session",), session=SEAT),
    "coach_say": _body(
        ("value", "frame", "since", "key"),
        value={"type": "string", "enum": ["plus", "minus"], "description": "Better, or worse, than it usually does."},
        frame={"type": "integer", "minimum": 0, "maximum": LARGEST, "description": "The picture on screen."},
        since={"type": "number", "minimum": 0, "maximum": 3600, "description": "Seconds that it had been there."},
        key=KEY,
    ),
    "coach_pace": _body(
        ("pace",), pace={"type": "number", "minimum": 0.1, "maximum": 60, "description": "Steps a second."}
    ),
    "coach_pause": _body(("paused",), paused={"type": "string", "enum": ["yes", "no"], "description": "Or go on."}),
}  # fmt: skip

_KINDS = {
    "object": (dict, "an object"),
    "array": (list, "an array"),
    "string": (str, "a string"),
    "integer": (int, "an integer"),
    "number": ((int, float), "a number"),
}


async def read(request: Request, name: str) -> dict[str, Any]:
    """The body of a request, checked against `BODIES[name]`.

    Raises:
        Problem: 408, 413, 415 or 400.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "request", f"expected content-type application/json; got {kind[:80] or 'none'}. Send JSON.")
    declared = request.headers.get("content-length", "0")
    raw = bytearray()
    with anyio.move_on_after(PATIENCE) as waiting:
        if not declared.isdecimal() or len(declared) > 12 or int(declared) <= MOST_BYTES:
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > MOST_BYTES:
                    break
        else:
            raw = bytearray(MOST_BYTES + 1)
    if waiting.cancelled_caught:
        raise Problem(408, "slow", f"expected the whole body within {PATIENCE:g} s; it had not come. Send it again.")
    if len(raw) > MOST_BYTES:
        raise Problem(
            413, "size", f"expected a body of at most {MOST_BYTES:,} bytes; got more. Send less.",
            {"connection": "close"},
        )  # fmt: skip
    try:
        body = json.loads(raw.decode(), parse_constant=_no_constant)
        json.dumps(body, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise Problem(400, "request", f"expected JSON (UTF-8); got something else ({error}). Correct it.") from None
    check(body, BODIES[name])
    return body


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def check(value: Any, schema: dict[str, Any], at: str = "body") -> None:
    """Hold `value` to the part of JSON Schema that `BODIES` uses. Raises Problem (400)."""
    kinds, what = _KINDS[schema["type"]]
    if not _is(value, schema["type"], kinds):
        _refuse(at, what, _article(value))
    if "enum" in schema and value not in schema["enum"]:
        _refuse(at, f"one of {', '.join(schema['enum'])}", f"{value[:40]!r}")
    if schema["type"] in ("integer", "number"):
        low, high = schema["minimum"], schema["maximum"]
        if not low <= value <= high:
            _refuse(at, f"in [{low:g}, {high:g}]", f"{value:g}" if abs(value) < 1e300 else "more")
    if schema["type"] == "string" and "pattern" in schema:
        low, high = schema["minLength"], schema["maxLength"]
        if not low <= len(value) <= high:
            _refuse(at, f"{low} to {high} characters long", f"{len(value)}")
        if not re.fullmatch(schema["pattern"], value):
            _refuse(at, f"text like {schema['pattern']}", f"{value[:40]!r}")
    if schema["type"] == "array":
        if len(value) > schema["maxItems"]:
            _refuse(at, f"at most {schema['maxItems']} long", f"{len(value)}")
        for k, item in enumerate(value):
            check(item, schema["items"], f"{at}[{k}]")
    if schema["type"] == "object":
        known = schema["properties"]
        for name in schema["required"]:
            if name not in value:
                _refuse(at, f"with {name}", f"{', '.join(map(str, value))[:80] or 'nothing'}")
        for name, item in value.items():
            if name not in known:
                _refuse(at, f"with none but {', '.join(known)}", f"{name[:40]!r}")
            check(item, known[name], f"{at}.{name}")


def _is(value: Any, kind: str, kinds: Any) -> bool:
    """As JSON Schema counts: 3.0 is an integer, true is no number."""
    whole = kind == "integer" and isinstance(value, float) and value.is_integer()
    return (whole or isinstance(value, kinds)) and not isinstance(value, bool)


def _article(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true or false"
    return next(what for kinds, what in _KINDS.values() if isinstance(value, kinds)).replace("an integer", "a number")


def _refuse(at: str, expected: str, got: str) -> None:
    raise Problem(400, "request", f"expected {at} to be {expected}; got {got}. Send JSON as /api/openapi.json says.")
