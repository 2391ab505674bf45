"""The pages as they are served: runs, comparison, report."""

import os
import shutil

import pytest
from starlette.testclient import TestClient


@pytest.fixture
def client(make_app):
    with TestClient(make_app(), base_url="http://127.0.0.1") as client:
        yield client


def test_the_root_leads_to_teaching(client):
    assert client.get("/").url.path == "/teach"


def test_the_list_shows_each_run_with_its_interval_and_says_what_cannot_be_read(client):
    text = client.get("/runs").text
    for word in ("pendulum", "slower", "teach", "PPO", "Done", "Cannot be read", "expected JSON in"):
        assert word in text
    assert text.count('class="between"') == 2, "an interval for each of the two runs with several seeds"
    assert "Running" in text, "a run that has no status yet"


def test_a_run_that_cannot_be_read_breaks_neither_the_list_nor_its_clips(client, teaching):
    for name, text in (("newer", '{"status": ["paused"]}'), ("cut", "{")):
        (teaching.folder.parent / name).mkdir()
        (teaching.folder.parent / name / "card.json").write_text(text)
        gone = client.get(f"/runs/{name}/clip/0")
        assert gone.status_code == 404 and "card.json" in gone.json()["detail"]
    listed = client.get("/runs")
    assert listed.status_code == 200 and "expected a status in" in listed.text and "paused" in listed.text


def test_the_chosen_runs_are_compared_on_the_chosen_metric(client):
    text = client.get("/runs?with=pendulum&with=slower&with=none&metric=ppo/entropy").text
    assert "ppo/entropy over environment steps: pendulum, slower" in text
    assert text.count(" checked>") == 2 and "<option selected>ppo/entropy" in text
    assert [x.partition("</li>")[0].rpartition(">")[2] for x in text.split('class="swatch"')[1:]] == [
        "pendulum",
        "slower",
    ]
    every = client.get("/runs").text
    assert every.count('class="swatch"') == 2, "a run without the metric has no curve, so no colour"
    one = client.get("/runs?with=slower").text
    assert "episode/return over environment steps: slower" in one


def test_a_run_is_read_again_only_when_it_changed(client, teaching, run_of, monkeypatch):
    from operant.studio import runs

    read = []
    real = runs.from_folder
    monkeypatch.setattr(runs, "from_folder", lambda folder: read.append(folder.name) or real(folder))
    client.get("/runs")
    client.get("/runs")
    assert read.count("pendulum") == 1
    shutil.rmtree(teaching.folder.parent / "pendulum")
    os.utime(run_of(teaching.folder.parent / "pendulum", rise=0.9) / "metrics.csv", ns=(1, 1))
    client.get("/runs")
    assert read.count("pendulum") == 2


def test_a_run_shows_its_curve_and_clips(client, teaching, films):
    folder = teaching.folder.parent / "pendulum" / "clips"
    folder.mkdir()
    shutil.copy(films[0], folder / "median.webp")
    text = client.get("/runs/pendulum").text
    assert "Stand up." in text and 'src="/runs/pendulum/clip/0"' in text and "Return of" not in text
    clip = client.get("/runs/pendulum/clip/0")
    assert (clip.headers["content-type"], clip.content) == ("image/webp", films[0].read_bytes())
    assert client.get("/runs/pendulum/clip/1").status_code == 404
    assert "expected JSON in" in client.get("/runs/broken").text


def test_the_report_comes_in_a_sandbox_written_or_not(client, teaching):
    fresh = client.get("/runs/pendulum/report")
    assert fresh.status_code == 200 and "Stand up." in fresh.text
    assert "sandbox" in fresh.headers["content-security-policy"]
    assert "script-src" not in fresh.headers["content-security-policy"]
    (teaching.folder.parent / "pendulum" / "report.html").write_text("<p>kept</p>")
    assert client.get("/runs/pendulum/report").text == "<p>kept</p>"
    assert client.get("/runs/broken/report").status_code == 404


def test_the_style_is_the_reports_own(client):
    style = client.get("/style/report.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "--accent:" in style.text and "prefers-color-scheme: dark" in style.text and "<" not in style.text
