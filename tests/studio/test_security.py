"""Who may ask the studio, and from where."""

import logging
import re

import pytest
from starlette.testclient import TestClient

from operant.errors import SpecError

HOST = "http://127.0.0.1"
TOKEN = "correct-horse-battery-staple"
PAGES = (
    "/teach",
    "/record",
    "/runs",
    "/runs/pendulum",
    "/static/teach.js",
    "/style/report.css",
    "/api/status",
    "/none",
)


def client_of(app, **given):
    return TestClient(app, base_url=HOST, follow_redirects=False, **given)


def reason(response):
    return response.status_code, response.json()["reason"]


# --- every response -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_every_response_has_a_strict_policy(make_app, path):
    headers = client_of(make_app()).get(path, headers={"accept": "text/html"}).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert "unsafe-inline" not in policy.replace("style-src-attr 'unsafe-inline'", "") and "unsafe-eval" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/teach", "/record", "/coach", "/runs", "/runs/pendulum", "/none"])
def test_pages_hold_no_inline_script_and_name_no_other_host(make_app, path):
    text = client_of(make_app()).get(path, headers={"accept": "text/html"}).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|javascript:", text)
    assert not re.search(r"(src|href|action)=\"(https?:)?//", text)


def test_what_comes_from_elsewhere_is_escaped(make_app, teaching):
    teaching.told = {"statement": '"><script>alert(1)</script>'}
    (teaching.folder.parent / "pendulum").rename(teaching.folder.parent / "<img src=x onerror=alert(1)>")
    client = client_of(make_app(title="<b>bold</b>"))
    for path in ("/teach", "/runs", "/runs/%3Cimg%20src=x%20onerror=alert(1)%3E"):
        text = client.get(path).text
        assert "<script>alert" not in text and "<img src=x" not in text and "<b>bold" not in text


# --- where it comes from --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::1"])
def test_a_name_that_was_rebound_to_this_machine_is_refused(make_app, host):
    response = client_of(make_app()).get("/api/status", headers={"host": host})
    assert reason(response) == (403, "origin")
    assert "expected Host to be one of 127.0.0.1, localhost, ::1" in response.json()["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost", "LOCALHOST:1", "[::1]:8000"])
def test_loopback_names_are_answered_on_any_port(make_app, host):
    assert client_of(make_app()).get("/api/status", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://[broken"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
    ],
)
def test_what_another_site_caused_is_refused(make_app, headers):
    client = client_of(make_app())
    assert reason(client.post("/api/name", json={"name": "Ann"}, headers=headers)) == (403, "origin")
    if headers.get("sec-fetch-mode") != "navigate":
        assert reason(client.get("/api/status", headers=headers)) == (403, "origin")
        assert reason(client.get("/api/clip/1/left", headers=headers)) == (403, "origin")


def test_the_studios_own_pages_and_a_link_to_it_are_let_in(make_app):
    client = client_of(make_app())
    own = {"origin": HOST, "sec-fetch-site": "same-origin"}
    assert client.post("/api/name", json={"name": "Ann"}, headers=own).status_code == 200
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/teach", headers=link).status_code == 200
    frame = link | {"sec-fetch-dest": "iframe"}
    assert client.get("/teach", headers=frame).status_code == 403


def test_a_websocket_is_refused(make_app):
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), client_of(make_app()).websocket_connect("/teach"):
        pass


# --- the token ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/api/openapi.json", "/"])
def test_without_the_token_nothing_is_answered(make_app, path):
    client = client_of(make_app(token=TOKEN))
    response = client.get(path)
    assert reason(response) == (401, "token")
    assert "with its ?token=" in response.json()["detail"]
    assert reason(client.post("/api/name", json={"name": "Ann"})) == (401, "token")


def test_the_token_is_given_once_and_leaves_the_address(make_app):
    client = client_of(make_app(token=TOKEN))
    answer = client.get(f"/runs?with=a%26b&token={TOKEN}&metric=x")
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?with=a%26b&metric=x")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
    assert client.get("/teach").status_code == 200
    assert client.get("/teach", headers={"host": "lab-machine:8000"}).status_code == 200  # the cookie guards, not Host


def test_a_link_from_another_site_brings_the_cookie_too(make_app):
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    answer = client_of(make_app(token=TOKEN)).get(f"/teach?token={TOKEN}", headers=link)
    assert (answer.status_code, answer.headers["refresh"]) == (200, "0;url=/teach")
    assert TOKEN not in answer.text


@pytest.mark.parametrize("given", ["", "correct", TOKEN + "x", TOKEN.upper(), "%F0%9F%90%B4", "é" * 16])
def test_another_token_is_refused(make_app, given):
    response = client_of(make_app(token=TOKEN)).get(f"/teach?token={given}")
    assert reason(response) == (401, "token") and "set-cookie" not in response.headers


def test_the_redirect_never_leads_away(make_app):
    for path in ("//evil.example", "/\\evil.example", "///evil.example/x"):
        answer = client_of(make_app(token=TOKEN)).get(f"{HOST}{path}?token={TOKEN}")
        assert answer.headers["location"].startswith("/") and not answer.headers["location"].startswith(("//", "/\\"))


def test_the_cookie_of_another_token_or_of_a_guess_is_refused(make_app):
    client = client_of(make_app(token=TOKEN))
    client.get(f"/teach?token={TOKEN}")
    [(name, value)] = [(c.name, c.value) for c in client.cookies.jar]
    other = client_of(make_app(token="another-token-of-enough-letters"))
    other.cookies.set(name, value)
    assert reason(other.get("/api/status")) == (401, "token")
    client.cookies.clear()
    client.cookies.set(name, value[:-1] + ("0" if value[-1] != "0" else "1"))
    assert reason(client.get("/api/status")) == (401, "token")


def test_the_token_is_in_no_log(studio, caplog):
    import httpx2

    with caplog.at_level(logging.DEBUG):
        handle = studio(token=TOKEN)
        assert handle.link == f"{handle.url}/teach?token={TOKEN}" and TOKEN not in handle.url
        ours = [record for record in caplog.records if not record.name.startswith("http")]  # the test's own client
        assert httpx2.get(handle.link).status_code == 303
        assert httpx2.get(f"{handle.url}/teach?token=wrong{TOKEN}").status_code == 401
        ours += [r for r in caplog.records if not r.name.startswith("http")]
    assert not [record for record in ours if TOKEN in record.getMessage()]


def test_a_short_token_is_refused(make_app):
    with pytest.raises(SpecError, match=r"at least 16 characters; got 5\. Use secrets\.token_urlsafe\(\)"):
        make_app(token="short")


# --- runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["%2e%2e", "..%2f..", "teach%2f..%2f..", "link", "none"])
def test_no_run_outside_the_folder_is_shown(make_app, teaching, name):
    (teaching.folder.parent / "link").symlink_to(teaching.folder.parent / "pendulum")
    for rest in ("", "/report", "/clip/0"):
        assert client_of(make_app()).get(f"/runs/{name}{rest}").status_code == 404
