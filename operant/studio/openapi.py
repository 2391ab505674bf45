"""The API's description (OpenAPI 3.1), made of the same schemas that requests are checked against."""

from collections.abc import Collection
from typing import Any

import operant
from operant.studio.bodies import BODIES, LARGEST

_TEXT, _NUMBER, _COUNT = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}


def _maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


SIDE = _object(kind={"type": "string", "enum": ["sheet", "video", "none"]}, src=_maybe(_TEXT))
QUESTION = _object(
    id={"type": "integer", "minimum": 1},
    lease=_TEXT,
    seconds={"type": "number", "minimum": 0, "description": "Until the lease ends."},
    mark={"type": "string", "description": "Tells whether a pair of the same id is the same pair."},
    left=SIDE,
    right=SIDE,
)
STATUS = _object(
    phase={"type": "string", "enum": ["training", "waiting", "done", "stopped"]},
    env_steps=_COUNT,
    steps=_COUNT,
    answers=_COUNT,
    budget=_COUNT,
    **{"return": {"type": "array", "items": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}}},
    agreement=_maybe(_NUMBER),
    statement=_TEXT,
    env=_TEXT,
    error=_maybe(_TEXT),
    waiting=_COUNT,
)
CURVE = _maybe({"type": "array", "items": _maybe(_NUMBER)})
CONTROL = {"type": "array", "items": _TEXT}
ACTION = _object(name=_TEXT, keys=CONTROL)
AXIS = _object(name=_TEXT, low=_NUMBER, high=_NUMBER, minus=CONTROL, plus=CONTROL)
CONTROLS = {"anyOf": [
    _object(kind={"const": "discrete"}, actions={"type": "array", "items": ACTION}, idle=_maybe(_COUNT)),
    _object(kind={"const": "box"}, axes={"type": "array", "items": AXIS}, shape={"type": "array", "items": _COUNT}),
]}  # fmt: skip
SEAT = _object(session=_TEXT, env=_TEXT, controls=CONTROLS, episodes=_COUNT, steps=_COUNT)
PICTURE: dict[str, Any] = {
    "description": "What there is to see.",
    "headers": {
        "Play-Steps": {"schema": _NUMBER, "required": True},
        "Play-Return": {"schema": _NUMBER, "required": True},
        "Play-Over": {"schema": {"type": "string", "enum": ["", "terminated", "truncated"]}, "required": True},
    },
    "content": {kind: {"schema": {}} for kind in ("image/png", "image/jpeg")},
}
WATCHED: dict[str, Any] = {
    "description": "What there is to see.",
    "headers": {"Coach-Frame": {"schema": _NUMBER, "required": True}},
    "content": {kind: {"schema": {}} for kind in ("image/png", "image/jpeg")},
}
PROBLEM = _object(title=_TEXT, status={"type": "integer"}, reason=_TEXT, detail=_TEXT)
PARAMETERS = {
    "pair": {"name": "pair", "in": "path", "required": True,
             "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST}},
    "after": {"name": "after", "in": "path", "required": True,
              "schema": {"type": "integer", "minimum": 0, "maximum": LARGEST}},
    "side": {"name": "side", "in": "path", "required": True, "schema": {"type": "string", "enum": ["left", "right"]}},
}  # fmt: skip
REFUSED = {400: "Malformed.", 401: "No name or no token.", 403: "From another site.", 404: "Not there.",
           408: "Too slow.", 409: "The store refuses: see reason.", 413: "Too large.", 415: "Not JSON.",
           503: "The store cannot be written; send it again."}  # fmt: skip


def _reply(schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"description": "As asked.", "content": {kind: {"schema": schema}}}


def _refusals(*codes: int) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(code): {"description": REFUSED[code], "content": problem} for code in (401, 403, *codes)}


def _post(name: str, summary: str, reply: dict[str, Any] | None, *codes: int) -> dict[str, Any]:
    whole = reply is PICTURE
    done = {"200": reply if whole else _reply(reply)} if reply else {"204": {"description": "Done."}}
    return {"post": {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": BODIES[name]}}},
        "responses": {**done, **_refusals(400, 408, 413, 415, 503, *codes)},
    }}  # fmt: skip


def _get(name: str, summary: str, replies: dict[str, Any], *codes: int, given: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"get": {
        "operationId": name,
        "summary": summary,
        "parameters": [PARAMETERS[p] for p in given],
        "responses": {**replies, **_refusals(*codes)},
    }}  # fmt: skip


def description(there: Collection[str] | None = None) -> dict[str, Any]:
    """The description, JSON-able: of the paths in `there`, or of all."""
    paths = _paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Operant studio",
            "version": operant.__version__,
            "description": "Labellers are known by a cookie that POST /api/name sets. Where the studio was started "
            "with a token, opening any page with ?token= sets a cookie too; without it everything is 401.",
        },
        "paths": {path: ways for path, ways in paths.items() if there is None or path in there},
        "components": {"schemas": {"Problem": PROBLEM}},
    }  # fmt: skip


def _paths() -> dict[str, Any]:
    layout = {f"Clip-{n}": {"schema": _NUMBER, "required": True} for n in ("Frames", "Columns", "Rate")}
    media = {kind: {"schema": {}} for kind in ("image/webp", "video/mp4", "video/webm")}
    return {
        "/api/name": _post("name", "Say who answers.", _object(name=_TEXT)),
        "/api/next": _post("next", "Lease a pair.", _object(question=_maybe(QUESTION)), 409),
        "/api/answer": _post("answer", "Answer a pair; durable once acknowledged.", _object(id=_COUNT), 409),
        "/api/skip": _post("skip", "Never see a pair again.", None, 409),
        "/api/undo": _post(
            "undo", "Withdraw the latest answer.", _object(pair=_maybe(_COUNT), question=_maybe(QUESTION)), 409
        ),
        "/api/renew": _post("renew", "Keep a pair longer.", _object(seconds=_NUMBER), 409),
        "/api/release": _post("release", "Give a pair back.", None, 409),
        "/api/record/begin": _post(
            "record_begin", "Sit down to play; a seat one had before is given up.", SEAT, 409
        ),
        "/api/record/look": _post("record_look", "The picture of now.", PICTURE, 409),
        "/api/record/step": _post(
            "record_step", "Take the step after the first t, once however often it is sent.", PICTURE, 409
        ),
        "/api/record/restart": _post("record_restart", "Begin another episode; this one is gone.", PICTURE, 409),
        "/api/record/keep": _post(
            "record_keep", "Keep the episode; durable once acknowledged.",
            _object(episode=_COUNT, episodes=_COUNT, steps=_COUNT), 409,
        ),
        "/api/record/leave": _post("record_leave", "Give the seat up.", None),
        "/api/coach/look/{after}": _get(
            "coach_look", "The first picture after this one; waits a second for it. Training goes on while one looks.",
            {"200": WATCHED, "204": {"description": "None yet."}}, 404, given=("after",),
        ),
        "/api/coach/events": _get(
            "coach_events", "How the training stands, whenever it changes (event: status).",
            {"200": _reply(_TEXT, "text/event-stream")},
        ),
        "/api/coach/say": _post(
            "coach_say", "Plus or minus to what was on screen; counted: it came in time.",
            _object(counted={"type": "boolean"}),
        ),
        "/api/coach/pace": _post("coach_pace", "How fast it acts.", None),
        "/api/coach/pause": _post("coach_pause", "Stand still, or go on.", None),
        "/api/clip/{pair}/{side}": _get(
            "clip", "A clip; Range is understood.",
            {"200": {"description": "The clip.", "content": media},
             "206": {"description": "The part asked for.", "content": media},
             "416": {"description": "No such part."}},
            404, given=("pair", "side"),
        ),
        "/api/sheet/{pair}/{side}": _get(
            "sheet", "An animated clip's frames in one image, row by row.",
            {"200": {"description": "The sheet.", "headers": layout, "content": {"image/webp": {"schema": {}}}}},
            404, given=("pair", "side"),
        ),
        "/api/after/{pair}": _get(
            "after", "The learned reward, step by step, along both clips.",
            {"200": _reply(_object(pair=_COUNT, left=CURVE, right=CURVE))}, 404, given=("pair",),
        ),
        "/api/status": _get("status", "How training stands.", {"200": _reply(STATUS)}),
        "/api/events": _get(
            "events", "The status, whenever it changes (event: status).",
            {"200": _reply(_TEXT, "text/event-stream")},
        ),
        "/api/runs/events": _get(
            "runs_events", "Each run's mark, whenever one changes (event: runs).",
            {"200": _reply(_TEXT, "text/event-stream")},
        ),
        "/api/openapi.json": _get("openapi", "This description.", {"200": _reply({"type": "object"})}),
    }  # fmt: skip
