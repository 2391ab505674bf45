"""The API: asking, answering, clips, events, and what it says when it refuses."""

import itertools
import json
import socket
import threading
import time

import pytest
from starlette.testclient import TestClient

from operant.errors import SpecError, StoreError
from operant.studio import serve

HOST = "http://127.0.0.1"


@pytest.fixture
def client(make_app):
    with TestClient(make_app(), base_url=HOST) as client:
        assert client.post("/api/name", json={"name": "Ann"}).json() == {"name": "Ann"}
        yield client


def ask(client, **body):
    return client.post("/api/next", json=body).json()["question"]


def give(client, question, answer="left", key="key-00000001", **changed):
    body = {"pair": question["id"], "answer": answer, "lease": question["lease"], "key": key, "seconds": 1.5}
    return client.post("/api/answer", json=body | changed)


def problem(response, status, reason):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert (told["status"], told["reason"]) == (status, reason)
    return told["detail"]


# --- asking and answering -------------------------------------------------------------------------------------------


def test_an_answer_is_stored_once_however_often_it_is_sent(client, teaching):
    question = ask(client)
    assert 80 < question["seconds"] <= 90
    assert question["left"] == {"kind": "sheet", "src": f"/api/sheet/{question['id']}/left"}
    first = give(client, question, "right")
    again = give(client, question, "right")
    assert first.json() == again.json() == {"id": 1}
    assert teaching.given() == {question["id"]: "right"}
    detail = problem(give(client, question, "left"), 409, "conflict")
    assert "Make a new key" in detail
    assert "has one already" in problem(give(client, question, key="key-00000002"), 409, "answered")
    assert ask(client)["id"] != question["id"]


def test_the_next_pair_is_leased_besides_those_on_the_page(client):
    first = ask(client)
    assert ask(client)["id"] == first["id"]
    assert ask(client, besides=[first["id"]])["id"] != first["id"]


def test_undo_gives_the_pair_back_and_says_when_there_is_none(client, teaching):
    undo = lambda number: client.post("/api/undo", json={"key": f"undo-000{number}"})
    assert undo(1).json() == {"pair": None, "question": None}
    question = ask(client)
    give(client, question)
    undone = undo(2).json()
    assert undone["pair"] == undone["question"]["id"] == question["id"]
    assert teaching.given() == {}
    assert give(client, undone["question"], "tie", key="key-00000002").status_code == 200
    assert teaching.given() == {question["id"]: "tie"}


def test_an_undo_that_is_sent_again_undoes_nothing_more(client, teaching):
    first = ask(client)
    give(client, first)
    second = ask(client)
    give(client, second, key="key-00000002")
    undo = lambda key: client.post("/api/undo", json={"key": key})
    replies = [undo("undo-0001").json() for _ in range(3)]
    assert [r["pair"] for r in replies] == [second["id"]] * 3
    assert len({r["question"]["lease"] for r in replies}) == 1
    assert teaching.given() == {first["id"]: "left"}
    assert "it named left about pair" in problem(undo("key-00000001"), 409, "conflict")
    assert "expected body to be with key" in problem(client.post("/api/undo", json={}), 400, "request")


def test_two_browsers_of_one_name_hold_pairs_of_their_own(client, make_app, teaching):
    with TestClient(make_app(), base_url=HOST) as other:
        cookie = other.post("/api/name", json={"name": "Ann"}).headers.get_list("set-cookie")[1]
        assert cookie.startswith("operant_session=") and "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert "set-cookie" not in other.get("/teach").headers, "a browser keeps what it is called"
        mine, theirs = ask(client), ask(other)
        assert mine["id"] != theirs["id"]
        assert (ask(client)["id"], ask(other)["id"]) == (mine["id"], theirs["id"])
        give(client, mine)
        give(other, theirs, "right", key="key-00000002")
        assert client.post("/api/undo", json={"key": "undo-0001"}).json()["pair"] == mine["id"], "not the other's"
        assert teaching.given() == {theirs["id"]: "right"}
        other.cookies.set("operant_session", "not/one")
        assert ask(other), "what cannot be a session counts as none"


def test_skip_renew_and_release(client, make_app):
    question = ask(client)
    held = {"pair": question["id"], "lease": question["lease"]}
    assert 80 < client.post("/api/renew", json=held).json()["seconds"] <= 90
    assert client.post("/api/release", json=held).status_code == 204
    assert client.post("/api/release", json=held).status_code == 204  # a closing page may come late
    assert "ended" in problem(client.post("/api/renew", json=held), 409, "lease")
    question = ask(client)
    assert client.post("/api/skip", json={"pair": question["id"], "lease": question["lease"]}).status_code == 204
    assert ask(client)["id"] != question["id"]
    with TestClient(make_app(), base_url=HOST) as other:
        other.post("/api/name", json={"name": "Bob"})
        assert ask(other)["id"] == question["id"]


def test_two_labellers_never_hold_one_pair(client, make_app):
    with TestClient(make_app(), base_url=HOST) as other:
        other.post("/api/name", json={"name": "Bob"})
        mine, theirs = ask(client), ask(other)
        assert mine["id"] != theirs["id"]
        assert "somebody else holds it" in problem(give(other, mine), 409, "lease")


def test_a_full_disk_is_told_and_the_answer_may_be_sent_again(client, teaching, monkeypatch):
    question = ask(client)

    def full(*args, **named):
        raise StoreError("expected to write; the disk is full. Free space.")

    with monkeypatch.context() as patch:
        patch.setattr(teaching.store, "answer", full)
        response = give(client, question)
        assert problem(response, 503, "store") == "expected to write; the disk is full. Free space."
        assert response.headers["retry-after"] == "2"
    assert give(client, question).status_code == 200


def test_a_name_comes_first_and_is_cleaned(make_app):
    with TestClient(make_app(), base_url=HOST) as client:
        detail = problem(client.post("/api/next", json={}), 401, "name")
        assert detail == "expected to know who answers; no name was given. Send one to /api/name first."
        answer = client.post("/api/name", json={"name": "Zoë  \u2028Ünal "})
        assert answer.json() == {"name": "Zoë  Ünal"}
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert ask(client)
        client.cookies.clear()
        client.cookies.set("operant_name", "!!")
        problem(client.post("/api/next", json={}), 401, "name")


# --- malformed and oversized ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, said",
    [
        ({"pair": "1"}, "expected body.pair to be an integer; got a string."),
        ({"pair": True}, "expected body.pair to be an integer; got true or false."),
        ({"pair": 0}, "expected body.pair to be in [1, 2.14748e+09]; got 0."),
        ({"answer": "best"}, "expected body.answer to be one of left, right, tie, unsure; got 'best'."),
        ({"seconds": -1}, "expected body.seconds to be in [0, 1e+06]; got -1."),
        ({"key": "short"}, "expected body.key to be 8 to 64 characters long; got 5."),
        ({"key": "no spaces here"}, "expected body.key to be text like ^[A-Za-z0-9_-]+$; got 'no spaces here'."),
        ({"more": 1}, "expected body to be with none but pair, answer, lease, key, seconds; got 'more'."),
    ],
)
def test_a_malformed_body_is_told_what_was_expected(client, body, said):
    detail = problem(give(client, {"id": 1, "lease": "x"}, **body), 400, "request")
    assert detail == f"{said} Send JSON as /api/openapi.json says."


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"besides": NaN}', b'{"besides": ["\\ud800"]}', b"[" * 9000])
def test_what_is_no_json_is_refused(client, raw):
    headers = {"content-type": "application/json"}
    assert "Correct it." in problem(client.post("/api/next", content=raw, headers=headers), 400, "request")


def test_missing_fields_and_other_kinds_are_refused(client):
    assert "expected body to be with pair; got nothing" in problem(client.post("/api/skip", json={}), 400, "request")
    assert "an object; got an array" in problem(client.post("/api/next", json=[]), 400, "request")
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        response = client.post("/api/next", content=b"{}", headers={"content-type": kind})
        assert "expected content-type application/json" in problem(response, 415, "request")


def test_a_large_body_is_refused_declared_or_not(client):
    headers = {"content-type": "application/json"}
    large = b'{"name": "' + b"a" * 20_000 + b'"}'
    assert "at most 16,384 bytes" in problem(client.post("/api/name", content=large, headers=headers), 413, "size")
    streamed = client.post("/api/name", content=iter([large[:9000], large[9000:]]), headers=headers)
    problem(streamed, 413, "size")


def test_unknown_addresses_and_methods(client):
    assert "there is no /api/none" in problem(client.get("/api/none"), 404, "missing")
    response = client.get("/api/answer")
    assert problem(response, 405, "method") == "expected POST for /api/answer; got GET."
    assert response.headers["allow"] == "POST"
    page = client.get("/none", headers={"accept": "text/html"})
    assert page.status_code == 404 and "there is no /none" in page.text and "<html" in page.text


def test_what_breaks_inside_is_told_without_its_inside(client, teaching, monkeypatch, caplog):
    monkeypatch.setattr(teaching.store, "lease", lambda *a, **k: 1 / 0)
    response = client.post("/api/next?secret=hush", json={})
    assert "ZeroDivisionError" in problem(response, 500, "server")
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "ZeroDivisionError" in caplog.text and "hush" not in caplog.text


# --- clips ----------------------------------------------------------------------------------------------------------


def test_a_clip_is_served_whole_and_in_parts(client, teaching, films):
    pair = ask(client)["id"]
    raw = films[0].read_bytes()
    whole = client.get(f"/api/clip/{pair}/left")
    assert (whole.content, whole.headers["content-type"]) == (raw, "image/webp")
    part = client.get(f"/api/clip/{pair}/left", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, raw[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(raw)}"
    assert client.get(f"/api/clip/{pair}/left", headers={"range": f"bytes={len(raw)}-"}).status_code == 416


def test_a_sheet_holds_every_frame_in_order(client, films):
    import io

    import numpy as np
    from PIL import Image

    pair = ask(client)["id"]
    sheet = client.get(f"/api/sheet/{pair}/right")
    frames, columns = int(sheet.headers["clip-frames"]), int(sheet.headers["clip-columns"])
    assert (frames, columns, float(sheet.headers["clip-rate"])) == (31, 6, 25.0)
    with Image.open(films[1]) as film, Image.open(io.BytesIO(sheet.content)) as grid:
        assert grid.size == (6 * film.width, 6 * film.height)
        for k in (0, 5, 17, 30):
            film.seek(k)
            x, y = k % 6 * film.width, k // 6 * film.height
            drawn = np.asarray(grid.crop((x, y, x + film.width, y + film.height)), float)
            assert np.abs(drawn - np.asarray(film.convert("RGB"), float)).mean() < 2


@pytest.mark.parametrize(
    "clip", ["../../../secret.webp", "/etc/hostname", "clips/../../pendulum/card.json", "link.webp"]
)
def test_nothing_outside_the_run_folder_is_served(client, teaching, clip):
    (teaching.folder / "link.webp").symlink_to(teaching.folder.parent.parent / "secret.webp")
    teaching.store.about = lambda pair: {"left": {"clip": clip}}
    for kind in ("clip", "sheet"):
        assert "in the run folder" in problem(client.get(f"/api/{kind}/1/left"), 404, "clip")


def test_a_clip_that_is_not_there_yet_or_no_image(client, teaching):
    pair = ask(client)["id"]
    path = teaching.folder / teaching.store.about(pair)["left"]["clip"]
    path.write_bytes(b"RIFF....")
    assert "expected an image at" in problem(client.get(f"/api/sheet/{pair}/left"), 404, "clip")
    path.unlink()
    response = client.get(f"/api/sheet/{pair}/left")
    assert "not there yet" in problem(response, 404, "clip")
    assert response.headers["retry-after"] == "1"
    problem(client.get(f"/api/clip/{pair}/above"), 404, "missing")
    problem(client.get("/api/clip/99999999999999999999/left"), 404, "missing")
    problem(client.get("/api/clip/12345/left"), 404, "missing")


def test_what_the_reward_thinks_comes_with_both_sides(client, teaching, make_app):
    pair = ask(client)["id"]
    after = client.get(f"/api/after/{pair}").json()
    assert after["pair"] == pair and len(after["left"]) == len(after["right"]) == 30
    problem(client.get("/api/after/12345"), 404, "missing")
    with TestClient(make_app(curves=lambda pair: None), base_url=HOST) as client:
        assert client.get(f"/api/after/{pair}").json() == {"pair": pair, "left": None, "right": None}
    with TestClient(make_app(curves=lambda pair: {"left": [float("nan")], "right": [1]}), base_url=HOST) as client:
        assert client.get(f"/api/after/{pair}").json() == {"pair": pair, "left": [None], "right": [1.0]}


# --- status and events ----------------------------------------------------------------------------------------------


def test_status_is_made_fit_for_json(make_app, teaching):
    teaching.told = {"return": [[1, 2.0], [2, float("nan")]], "agreement": float("nan"), "more": object()}
    with TestClient(make_app(), base_url=HOST) as client:
        status = client.get("/api/status").json()
    assert (status["return"], status["agreement"], status["waiting"]) == ([[1, 2.0]], None, 6)
    assert "more" not in status


def test_a_long_curve_is_thinned_and_keeps_its_end(make_app, teaching):
    teaching.told = {"return": [[k, float(k)] for k in range(9_999)]}
    with TestClient(make_app(), base_url=HOST) as client:
        points = client.get("/api/status").json()["return"]
    assert len(points) <= 200 and points[-1] == [9_998, 9_998.0]


def test_training_that_is_dead_is_said_so_and_answers_are_still_taken(make_app, teaching):
    def dead():
        raise RuntimeError("killed")

    with TestClient(make_app(status=dead), base_url=HOST) as client:
        status = client.get("/api/status").json()
        assert (status["phase"], status["error"]) == ("stopped", "RuntimeError: killed")
        client.post("/api/name", json={"name": "Ann"})
        assert give(client, ask(client)).status_code == 200


def read_events(url, seconds):
    """What a page hears: [(seconds since it began, text), …]."""
    host, port = url.removeprefix("http://").split(":")
    heard, began = [], time.monotonic()
    with socket.create_connection((host, int(port)), timeout=0.2) as connection:
        connection.sendall(f"GET /api/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        while time.monotonic() - began < seconds:
            try:
                heard.append((time.monotonic() - began, connection.recv(65536).decode()))
            except TimeoutError:
                continue
    return heard


def test_events_come_as_things_change_and_at_most_twice_a_second(studio, teaching, monkeypatch):
    calls = []
    monkeypatch.setattr("operant.studio.events.HEARTBEAT", 1.0)

    def status():
        calls.append(time.monotonic())
        return teaching.status() | {"env_steps": len(calls) if len(calls) < 4 else 4}

    handle = studio(status=status)
    others = [threading.Thread(target=read_events, args=(handle.url, 3)) for _ in range(3)]
    for thread in others:
        thread.start()
    heard = "".join(text for _, text in read_events(handle.url, 3.5))
    for thread in others:
        thread.join()
    statuses = [json.loads(x.partition("\n\n")[0]) for x in heard.split("event: status\ndata: ")[1:]]
    assert "content-type: text/event-stream" in heard and "retry: 1000" in heard
    assert [s["env_steps"] for s in statuses] == sorted({s["env_steps"] for s in statuses}) and len(statuses) >= 3
    assert ": still here" in heard
    assert all(b - a >= 0.49 for a, b in itertools.pairwise(calls)), "four pages ask no more often than one"


# --- serving --------------------------------------------------------------------------------------------------------


def test_serving_says_what_is_wrong_and_frees_its_port(studio, make_app):
    handle = studio()
    port = int(handle.url.rpartition(":")[2])
    with pytest.raises(SpecError, match="Choose another port, or 0"):
        serve(make_app(), port=port)
    handle.stop()
    assert studio(port=port).url == handle.url
    with pytest.raises(SpecError, match=r"expected a token, because 0\.0\.0\.0 can be reached from other machines"):
        serve(make_app(), "0.0.0.0")
    with pytest.raises(SpecError, match="expected to listen on not a host"):
        serve(make_app(token="a" * 32), "not a host")


def test_stopping_does_not_wait_for_open_event_streams(studio):
    handle = studio()
    thread = threading.Thread(target=lambda: read_events(handle.url, 1.5))
    thread.start()
    time.sleep(0.4)
    began = time.monotonic()
    handle.stop()
    assert time.monotonic() - began < 3
    thread.join()
