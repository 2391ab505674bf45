"""Clips, phone, keyboard and the other pages, in a real browser."""

import itertools
import shutil

import numpy as np
import pytest
from PIL import Image, ImageSequence

from operant.io.video import write_video


def test_clips_play_in_step_loop_and_slowly(hands, studio, opened):
    page = opened(studio())
    seen = [hands.frames(page) for _ in range(25) if page.wait_for_timeout(80) is None]
    assert all(left == right for left, right in seen)
    assert max(a for a, _ in seen) == 30, "they are shown to their end"
    assert any(b < a for (a, _), (b, _) in itertools.pairwise(seen)), "they begin again"
    page.keyboard.press("m")
    page.keyboard.press(" ")
    page.wait_for_timeout(600)
    assert 1 <= hands.frames(page)[0] <= 9, "a quarter of the speed: 3.75 frames in 0.6 s, and some slack"
    assert page.get_attribute("#slow", "aria-pressed") == "true"
    page.focus("#seek")
    page.keyboard.press("End")
    page.wait_for_timeout(150)
    assert hands.frames(page) == [30, 30] and page.inner_text("#play") == "Play"


def test_videos_play_in_step(hands, studio, teaching, films, opened):
    pytest.importorskip("av", reason="PyAV, which writes MP4, is not installed")
    with Image.open(films[0]) as film:
        shown = np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)])
    for pair in range(6):
        for side in ("left", "right"):
            path = teaching.folder / "clips" / f"{pair}-{side}.mp4"
            if pair == 0:
                write_video(shown, path)
            else:
                shutil.copy(teaching.folder / "clips" / "0-left.mp4", path)
    real = teaching.store.about
    teaching.store.about = lambda pair: {
        side: x | {"clip": x["clip"].replace(".webp", ".mp4")} for side, x in real(pair).items()
    }
    page = opened(studio())
    seen = [hands.frames(page) for _ in range(25) if page.wait_for_timeout(80) is None]
    assert max(abs(a - b) for a, b in seen) <= 4, "0.15 s apart at most"
    assert max(a for a, _ in seen) >= 28
    drawn = "() => document.querySelector('#left canvas').getContext('2d').getImageData(120, 120, 1, 1).data[2]"
    assert page.evaluate(drawn) > 20
    hands.press(page, "ArrowLeft")


def test_less_motion_starts_still(hands, studio, opened):
    page = opened(studio(), reduced_motion="reduce")
    page.wait_for_timeout(300)
    assert hands.frames(page) == [0, 0] and page.inner_text("#play") == "Play"
    page.keyboard.press(" ")
    page.wait_for_timeout(2200)
    assert hands.frames(page) == [30, 30] and page.inner_text("#play") == "Play", "one round, then still"


def test_phone_width(studio, opened):
    page = opened(studio(), viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    box = {side: page.locator(f"#{side}").bounding_box() for side in ("left", "right")}
    assert box["right"]["y"] >= box["left"]["y"] + box["left"]["height"], "one above the other"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for button in page.locator("main button:visible, header button:visible, header nav a:visible").all():
        size = button.bounding_box()
        assert size["width"] >= 44 and size["height"] >= 44, button.inner_text()
    for choice in page.locator(".choice").all():
        size = choice.bounding_box()
        assert size["y"] + size["height"] <= 740, "to be reached without scrolling"
    page.tap(".choice:has-text('Lower')")
    page.wait_for_function("() => document.getElementById('main').dataset.stored")


def test_everything_has_a_name_and_help_opens_by_key(studio, opened):
    page = opened(studio())
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help") and page.get_attribute("#main", "data-stored") is None
    tree = page.locator("body").aria_snapshot()
    for name in ("Left is better", "As good", "Right is better", "Left clip", "Moment in the clips", "Answers used"):
        assert name in tree
    assert 'button ""' not in tree and page.locator("[role=status]").count() == 1


def test_runs_and_report_by_keyboard(studio, opened):
    page = opened(studio(), path="/runs")
    page.check("input[value=pendulum]")
    page.check("input[value=slower]")
    page.click("text=Compare the ticked")
    assert "with=pendulum" in page.url and "with=slower" in page.url
    assert page.locator("input:checked").count() == 2
    page.wait_for_load_state("load")  # the style sheet, too
    stroke = page.eval_on_selector(".marks .centre", "e => getComputedStyle(e).stroke")
    assert stroke not in ("none", "rgb(0, 0, 0)"), "the policy lets the curve's colour through"
    page.click("th a:text-is('pendulum')")
    page.click("text=Open the report")
    assert page.inner_text("h1") == "pendulum"
    assert page.evaluate("getComputedStyle(document.body).fontFamily") != "Times New Roman"
