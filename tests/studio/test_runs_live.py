"""The runs page and a run's page follow runs that train, without being loaded again."""

import json
import shutil

import numpy as np
import pytest

from operant.io.recorders import Csv
from operant.studio import watch


class Training:
    """A run that is under way: rows come in."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        card = {"title": folder.name, "learner": "DQN", "env": "grid"}
        (folder / "card.json").write_text(json.dumps(card))
        self.folder, self.csv, self.rows = folder, Csv(folder), 0
        self.csv.start({})

    def goes_on(self, value, rows=3):
        steps = 100 * (self.rows + 1 + np.arange(rows))
        self.csv.record(self.rows, {"episode/return": np.repeat([[value - 1], [value + 1]], rows, axis=1)}, steps)
        self.rows += rows


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(watch, "CHANGES", 0.2)


def text_is(page, selector, words):
    page.wait_for_function(
        "([s, w]) => document.querySelector(s)?.innerText.includes(w)", arg=[selector, words], timeout=12_000
    )


def test_the_list_follows_runs_and_keeps_what_was_ticked(studio, teaching, opened):
    page = opened(studio(), path="/runs")
    page.wait_for_selector("#pulse:has-text('Live')")
    page.evaluate("window.loadedOnce = true")
    page.check("input[value=slower]")
    page.focus("#metric")
    run = Training(teaching.folder.parent / "fresh")
    run.goes_on(10.0)
    text_is(page, "#run-fresh", "10 [9, 11]")
    assert page.locator("#rows tr").first.get_attribute("id") == "run-fresh", "the latest first"
    drawn = page.inner_html("#live-curves")
    run.goes_on(50.0, 5)
    text_is(page, "#steps-fresh", "800")
    page.wait_for_function("before => document.getElementById('live-curves').innerHTML !== before", arg=drawn)
    assert "fresh" in page.inner_text(".legend")
    card = json.loads((run.folder / "card.json").read_text()) | {"status": ["done", "done"]}
    (run.folder / "card.json").write_text(json.dumps(card))
    text_is(page, "#status-fresh", "Done")
    shutil.rmtree(run.folder)
    page.wait_for_selector("#run-fresh", state="detached", timeout=12_000)
    assert page.evaluate("window.loadedOnce") and page.is_checked("input[value=slower]")
    assert page.evaluate("document.activeElement.id") == "metric"


def test_a_runs_page_follows_it_to_its_clips(studio, teaching, films, opened):
    run = Training(teaching.folder.parent / "fresh")
    page = opened(studio(), path="/runs/fresh")
    page.wait_for_selector("#pulse:has-text('Live')")
    page.evaluate("window.loadedOnce = true")
    assert page.locator("#live-data svg").count() == 0
    run.goes_on(10.0, 20)
    page.wait_for_selector("#live-data svg", timeout=12_000)
    text_is(page, "#live-facts", "10 [9, 11]")
    (run.folder / "clips").mkdir()
    shutil.copy(films[0], run.folder / "clips" / "median.webp")
    page.wait_for_selector("#live-data img", timeout=12_000)
    assert page.evaluate("window.loadedOnce")


def test_it_says_when_the_studio_is_gone_and_comes_back(studio, opened):
    handle = studio()
    page = opened(handle, path="/runs")
    page.wait_for_selector("#pulse:has-text('Live')")
    handle.stop()
    page.wait_for_selector("#pulse:has-text('does not answer')")
    studio(port=int(handle.url.rpartition(":")[2]))
    page.wait_for_selector("#pulse:has-text('Live')")


def test_on_a_phone_nothing_overflows(studio, opened):
    for path in ("/runs", "/runs/pendulum"):
        page = opened(studio(), path=path, viewport={"width": 390, "height": 844}, is_mobile=True)
        page.wait_for_selector("#pulse:has-text('Live')")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
