"""What is said finds the steps it is about: windows by hand, what is late, what is sent twice; pacing and waiting."""

import threading
import time

import numpy as np
import pytest

from operant.envs.audience import Audience
from operant.errors import SpecError

PICTURE = np.zeros((4, 4, 3), np.uint8)


class Clock:
    """Stands until it is set."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shown(times, delay=(0.2, 0.8)):
    """An audience that was shown a step at each of these times."""
    clock = Clock()
    audience = Audience(delay=delay, clock=clock)
    for t in times:
        clock.now = 100.0 + t
        audience.present(PICTURE)
    return audience, clock


@pytest.mark.parametrize(
    ("said", "shares"),
    [
        (0.7, [1.0, 0.0, 0.0]),  # about −0.1 … 0.5, all that was shown of it: the first
        (0.8, [5 / 6, 1 / 6, 0.0]),  # about 0.0 … 0.6
        (1.05, [0.25 / 0.6, 0.35 / 0.6, 0.0]),  # 0.25 … 0.85
        (1.6, [0.0, 0.2 / 0.6, 0.4 / 0.6]),  # 0.8 … 1.4
        (2.5, [0.0, 0.0, 1.0]),  # 1.7 … 2.3: the third is still on screen
    ],
)
def test_a_word_is_shared_by_how_long_each_step_was_on_screen(said, shares):
    audience, _ = shown([0.0, 0.5, 1.0])
    frame = int(np.searchsorted([0.0, 0.5, 1.0], said, "right"))
    assert audience.say(-1.0, frame=frame, since=said - (frame - 1) / 2, who="ann", key="k")
    assert np.allclose(audience.handed_over(), -np.array(shares), atol=1e-6)


def test_the_moment_is_counted_from_the_picture_on_the_page_not_from_when_it_arrives():
    audience, clock = shown([0.0, 0.5, 1.0])
    clock.now += 60.0  # a slow network
    audience.say(1.0, frame=2, since=0.4, who="ann", key="k")  # at 0.9: about 0.1 … 0.7
    assert np.allclose(audience.handed_over(), [0.4 / 0.6, 0.2 / 0.6, 0.0], atol=1e-6)


def test_words_add_up_and_one_that_is_sent_again_does_not():
    heard = []
    audience = Audience(clock=Clock(), heard=heard.append)
    audience.present(PICTURE)
    for key, value in (("a", 1.0), ("a", 1.0), ("b", 1.0), ("c", -1.0), ("a", 1.0)):
        assert audience.say(value, frame=1, since=1.0, who="ann", key=key)
    assert audience.handed_over().tolist() == [1.0] and len(heard) == 3
    assert (audience.plus, audience.minus, audience.late) == (2, 1, 0)
    assert [(w.who, w.value, w.frame, w.since, w.counted) for w in heard][1] == ("ann", 1.0, 1, 1.0, True)


def test_what_was_handed_over_cannot_be_judged_any_more():
    audience, clock = shown([0.0, 0.5])
    assert audience.handed_over().tolist() == [0.0, 0.0]
    assert not audience.say(1.0, frame=2, since=2.0, who="ann", key="a"), "nothing new was shown"
    clock.now = 103.0
    audience.present(PICTURE)
    assert not audience.say(1.0, frame=3, since=0.1, who="ann", key="b"), "too soon to be about the new one"
    assert audience.say(1.0, frame=2, since=2.8, who="ann", key="c"), "about 2.5 … 3.1: partly the new one"
    assert audience.late == 2 and audience.handed_over().tolist() == [1.0]


def test_a_picture_that_never_was_or_is_long_gone():
    audience, clock = shown([0.0])
    for _ in range(300):
        clock.now += 1
        audience.open(PICTURE)
    assert not audience.say(1.0, frame=1, since=0.5, who="ann", key="a"), "forgotten"
    assert audience.say(1.0, frame=10**6, since=0.5, who="ann", key="b"), "counts as the latest"


def test_where_an_episode_begins_nothing_can_be_said_of_the_picture():
    audience, clock = shown([0.0])
    clock.now += 0.5
    audience.open(PICTURE)
    clock.now += 0.5
    audience.present(PICTURE)
    audience.say(1.0, frame=2, since=0.4, who="ann", key="a")  # at 0.9: about 0.1 … 0.7, the step before
    assert audience.handed_over().tolist() == [1.0, 0.0]


def test_it_waits_for_its_pace_for_somebody_and_for_the_pause():
    audience = Audience(pace=20.0, delay=(0.05, 0.15))
    begun, rested = time.monotonic(), []

    def train():
        for _ in range(3):
            audience.rest()
            rested.append(time.monotonic() - begun)
            audience.present(PICTURE)

    thread = threading.Thread(target=train)
    thread.start()
    time.sleep(0.3)
    assert not rested and audience.status()["phase"] == "waiting", "nobody watches"
    audience.set_paused(True)
    audience.look()
    time.sleep(0.2)
    assert not rested and audience.status()["phase"] == "paused"
    audience.set_paused(False)
    thread.join(2.0)
    assert len(rested) == 3 and 0.09 < rested[2] - rested[0] < 0.5, "a twentieth of a second each"
    before = time.monotonic()
    assert audience.settle().shape == (3,)
    assert 0.08 < time.monotonic() - before < 0.4


def test_an_end_waits_for_nothing():
    audience = Audience(pace=0.1)
    thread = threading.Thread(target=lambda: [(audience.rest(), audience.present(PICTURE)) for _ in range(50)])
    thread.start()
    time.sleep(0.1)
    audience.end()
    thread.join(1.0)
    assert not thread.is_alive() and audience.status()["phase"] == "ended" and len(audience.settle()) == 50


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"delay": (0.8, 0.2)}, r"expected 0 ≤ delay\[0\] < delay\[1\], in seconds; got \(0\.8, 0\.2\)\."),
        ({"delay": (-0.1, 0.2)}, r"expected 0 ≤ delay\[0\]"),
        ({"pace": 0.0}, r"expected a pace from 0\.1 to 60 steps a second; got 0\. Try 5\."),
        ({"pace": float("nan")}, r"got nan\."),
    ],
)
def test_what_cannot_be_is_refused(given, said):
    with pytest.raises(SpecError, match=said):
        Audience(**given)
