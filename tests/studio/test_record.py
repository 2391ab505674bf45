"""The record page: playing over HTTP and in a real browser, what is kept, and who may play."""

import io
import threading

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from operant.data import minari
from operant.envs.toy import CartPole, Pendulum
from operant.errors import StoreError
from operant.loops.alone import Alone
from operant.studio import app
from operant.studio import seats as sitting
from operant.studio.controls import controls
from operant.studio.seats import Seats

HOST = "http://127.0.0.1"
RIGHT = 1


@pytest.fixture
def client(make_app):
    with TestClient(make_app(), base_url=HOST) as client:
        client.post("/api/name", json={"name": "Ann"})
        yield client


def call(client, name, session=None, **body):
    return client.post(f"/api/record/{name}", json=body | ({} if session is None else {"session": session}))


def begin(client) -> str:
    return call(client, "begin").json()["session"]


def problem(response, status, reason):
    assert (response.status_code, response.json()["reason"]) == (status, reason), response.text
    return response.json()["detail"]


def play(client, session, actions, first=0):
    return [call(client, "step", session, t=first + k, action=[a]) for k, a in enumerate(actions)]


def told(response):
    return tuple(response.headers[f"play-{x}"] for x in ("steps", "return", "over"))


# --- over HTTP ------------------------------------------------------------------------------------------------------


def test_an_episode_is_played_and_kept_with_who_when_and_its_seed(client, seats):
    seat = call(client, "begin").json()
    assert (seat["env"], seat["episodes"], seat["steps"]) == ("GridWorld", 0, 0)
    assert [a["name"] for a in seat["controls"]["actions"]] == ["up", "right", "down", "left"]
    first = call(client, "look", seat["session"])
    steps = play(client, seat["session"], [RIGHT, 3, RIGHT, RIGHT, RIGHT])
    assert [told(s) for s in (first, steps[0], steps[-1])] == [
        ("0", "0.0", ""), ("1", "0.0", ""), ("5", "1.0", "terminated"),
    ]  # fmt: skip
    with Image.open(io.BytesIO(steps[-1].content)) as image:
        assert (image.format, image.size) == ("PNG", (240, 240))
    assert "ended after 5 steps" in problem(play(client, seat["session"], [RIGHT], 5)[0], 409, "over")
    kept = call(client, "keep", seat["session"], key="key-00000001").json()
    assert kept == {"episode": 0, "episodes": 1, "steps": 5}
    data, [about] = minari.read(seats.folder), minari.about(seats.folder)
    assert np.asarray(data.data.action).tolist() == [1, 3, 1, 1, 1] and data.data.reward[-1] == 1
    assert np.asarray(data.data.terminated).tolist() == [False] * 4 + [True] and not data.data.truncated.any()
    assert data.data.next_obs[-1].argmax() == 3, "the last observation too"
    assert (about["labeller"], about["stopped"], about["recorded"][:2]) == ("Ann", False, "20")


def test_an_episode_can_be_replayed_from_what_was_kept(teaching):
    seats = Seats(Pendulum, teaching.folder / "swing", "Pendulum-v1")
    with TestClient(app(None, None, token=None, seats=seats), base_url=HOST) as client:
        client.post("/api/name", json={"name": "Ann"})
        session = begin(client)
        play(client, session, [2.0, -1.0, 0.5])
        call(client, "keep", session, key="key-00000001")
    seats.close()
    data, [about] = minari.read(seats.folder), minari.about(seats.folder)
    again = Alone(Pendulum(), seed=about["seed"])
    for action, reward, obs in zip(data.data.action, data.data.reward, data.data.next_obs, strict=True):
        moved = again.step(np.asarray(action))
        assert np.array_equal(moved.obs, obs) and np.float32(moved.reward) == reward
    assert np.asarray(data.data.truncated).tolist() == [False, False, True], "a person ended it"
    assert about["stopped"] is True
    assert minari.read_metadata(seats.folder)["dataset_id"] == "operant/pendulum-v1/human-v0"
    assert '"Pendulum-v1"' in minari.read_metadata(seats.folder)["env_spec"]


def test_what_is_sent_again_happens_once(client, seats):
    session = begin(client)
    first = play(client, session, [RIGHT, RIGHT])
    again = call(client, "step", session, t=1, action=[RIGHT])
    assert again.content == first[1].content and told(again)[0] == "2"
    assert "expected step 2 of the episode; got step 0" in problem(play(client, session, [RIGHT])[0], 409, "order")
    assert "got step 7" in problem(play(client, session, [RIGHT], 7)[0], 409, "order")
    replies = [call(client, "keep", session, key="key-00000001").json() for _ in range(3)]
    assert replies == [{"episode": 0, "episodes": 1, "steps": 2}] * 3
    assert "was kept already" in problem(call(client, "keep", session, key="key-00000002"), 409, "over")
    assert minari.read(seats.folder).episodes == 1


def test_restart_discards_and_nothing_can_be_kept_of_nothing(client, seats):
    session = begin(client)
    assert "has no steps" in problem(call(client, "keep", session, key="key-00000001"), 409, "over")
    play(client, session, [RIGHT, RIGHT])
    assert told(call(client, "restart", session)) == ("0", "0.0", "")
    play(client, session, [RIGHT])
    call(client, "keep", session, key="key-00000001")
    assert minari.read(seats.folder).size == 1


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ([4], "an action that is an integer 0 … 3; got 4"),
        ([-1], "an integer 0 … 3; got -1"),
        ([0.5], "an integer 0 … 3; got 0.5"),
        ([], r"got []"),
        ([0, 1], "got [0, 1]"),
        (["a"], "expected body.action[0] to be a number; got a string"),
        ([1e99], "expected body.action[0] to be in [-1e+09, 1e+09]"),
        ([0] * 65, "at most 64 long; got 65"),
        (None, "expected body.action to be an array; got null"),
    ],
)
def test_a_malformed_action_is_refused_and_nothing_is_stepped(client, action, said):
    session = begin(client)
    assert said in problem(call(client, "step", session, t=0, action=action), 400, "request")
    assert told(call(client, "look", session))[0] == "0"


def test_an_action_outside_a_box_is_refused(teaching):
    seats = Seats(Pendulum, teaching.folder / "swing", "Pendulum-v1")
    with TestClient(app(None, None, token=None, seats=seats), base_url=HOST) as client:
        client.post("/api/name", json={"name": "Ann"})
        session = begin(client)
        for action in ([2.5], [], [0, 0]):
            said = problem(call(client, "step", session, t=0, action=action), 400, "request")
            assert "Keep every element within its bounds" in said
    seats.close()


def test_one_seat_a_person_and_a_limit_of_all(client, make_app, seats, monkeypatch):
    monkeypatch.setattr(sitting, "MOST", 2)
    first = begin(client)
    second = begin(client)
    assert "opened again elsewhere" in problem(call(client, "look", first), 409, "session")
    others = [TestClient(make_app(), base_url=HOST) for _ in range(2)]
    for other in others:
        other.post("/api/name", json={"name": "Ann"})  # another browser of the same name
    third = begin(others[0])
    assert call(client, "look", second).status_code == call(others[0], "look", third).status_code == 200
    assert "at most 2 people to play at once" in problem(call(others[1], "begin"), 409, "full")
    assert call(client, "leave", second).status_code == call(client, "leave", second).status_code == 204
    assert begin(others[1])
    monkeypatch.setattr(sitting, "LEFT_ALONE", 0.0)
    assert begin(client), "a seat left alone goes to who wants it"
    assert "left alone" in problem(call(others[0], "look", third), 409, "session")


def test_two_who_play_at_once_keep_both(make_app, seats):
    def one(name):
        with TestClient(make_app(), base_url=HOST) as client:
            client.post("/api/name", json={"name": name})
            session = begin(client)
            for k in range(5):
                play(client, session, [RIGHT, RIGHT])
                assert call(client, "keep", session, key=f"key-0000000{k}").status_code == 200
                call(client, "restart", session)

    threads = [threading.Thread(target=one, args=(name,)) for name in ("Ann", "Bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert minari.read(seats.folder).episodes == 10
    assert {a["labeller"] for a in minari.about(seats.folder)} == {"Ann", "Bob"}


def test_a_full_disk_is_told_and_the_episode_may_be_kept_again(client, seats, monkeypatch):
    session = begin(client)
    play(client, session, [RIGHT])
    with monkeypatch.context() as patch:

        def full(*args):
            raise StoreError("expected to write; the disk is full. Free space.")

        patch.setattr(minari.Demonstrations, "add", full)
        assert "disk is full" in problem(call(client, "keep", session, key="key-00000001"), 503, "store")
    assert call(client, "keep", session, key="key-00000001").json()["episodes"] == 1


def test_an_environment_that_draws_nothing_or_is_another_is_told(teaching, seats):
    seats.prepare()
    seats._demos.add(minari.Episode(np.eye(4)[[0, 1]], [1], [0.0], [False], [True]))
    other = Seats(CartPole, seats.folder, "CartPole-v1")
    with TestClient(app(None, None, token=None, seats=other), base_url=HOST) as client:
        client.post("/api/name", json={"name": "Ann"})
        assert "a dataset has one space" in problem(call(client, "begin"), 400, "request")


def test_without_a_name_nobody_plays(make_app):
    with TestClient(make_app(), base_url=HOST) as client:
        problem(call(client, "begin"), 401, "name")
        assert client.get("/record").status_code == 200
        headers = {"origin": "https://evil.example"}
        assert client.post("/api/record/begin", json={}, headers=headers).status_code == 403


def test_only_what_is_given_is_served(seats):
    with TestClient(app(None, None, token=None, seats=seats), base_url=HOST) as client:
        assert client.get("/").url.path == "/record"
        assert client.get("/teach").status_code == client.get("/runs").status_code == 404
        paths = set(client.get("/api/openapi.json").json()["paths"])
        assert {"/api/record/step", "/api/name", "/api/openapi.json"} < paths
        assert "/api/next" not in paths and "/api/events" not in paths
        assert '"/teach"' not in client.get("/record").text


def test_keys_are_given_to_actions():
    from operant.core import Box, Discrete, EnvSpec
    from operant.envs.gymnasium import Gymnasium
    from operant.errors import SpecError

    class Of(Gymnasium):
        n: int = 0
        box: int = 0

        @property
        def spec(self):
            return EnvSpec(Box((1,)), Box((self.box,), -1, 1) if self.box else Discrete(self.n), None, name=self.id)

    made = controls(Of("FrozenLake-v1", n=4))
    assert [a["keys"][1] for a in made["actions"]] == ["ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp"]
    made = controls(Of("LunarLander-v3", n=4))
    assert made["idle"] == 0 and made["actions"][2]["keys"] == ["3", "ArrowUp"]
    many = controls(Of("Pong-v5", n=18))
    keys = [k for a in many["actions"] for k in a["keys"]]
    assert len(set(keys)) == 18 and not {"r", "n"} & set(keys) and many["idle"] is None
    with pytest.raises(SpecError, match="expected at most 34 actions, a key each; Far has 35"):
        controls(Of("Far-v0", n=35))
    axes = controls(Of("Humanoid-v5", box=17))["axes"]
    keys = [k for a in axes for k in a["minus"] + a["plus"]]
    assert len(keys) == len(set(keys)) == 24 and not {"r", "n"} & set(keys) and axes[16]["plus"] == []
    two = controls(Of("Maze-v1", box=2))["axes"]
    assert (two[0]["plus"], two[1]["plus"], two[1]["minus"]) == (
        ["q", "ArrowRight"],
        ["w", "ArrowUp"],
        ["s", "ArrowDown"],
    )


# --- in a real browser ----------------------------------------------------------------------------------------------


def steps_of(page) -> int:
    return int(page.inner_text("#t"))


def tap(page, key):
    """Press a key, and wait for the step it takes.

    Down and up in one task of the page: on a busy machine Chromium's own come so far apart that the key counts as held.
    """
    before = steps_of(page)
    page.evaluate(
        """key => ["keydown", "keyup"].forEach(
          (type) => document.body.dispatchEvent(new KeyboardEvent(type, {key, bubbles: true, cancelable: true})))""",
        key,
    )
    page.wait_for_function("t => Number(document.getElementById('t').textContent) === t", arg=before + 1)


def test_by_keyboard_from_the_first_step_to_the_kept_episode(hands, studio, seats, opened):
    page = opened(studio(), path="/record")
    page.wait_for_timeout(200)
    assert steps_of(page) == 0, "it stands still until a key is pressed"
    for key in ("ArrowRight", "2", "4", "ArrowRight"):
        tap(page, key)
    page.wait_for_timeout(250)
    assert steps_of(page) == 4 and page.get_attribute("#main", "data-phase") == "running", "and again after it"
    tap(page, "ArrowRight")
    hands.in_phase(page, "over")
    assert "return 1. Enter keeps it" in page.inner_text("#veil") and page.inner_text("#total") == "1"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('main').dataset.kept === '1'")
    hands.in_phase(page, "ready")
    page.wait_for_function("() => document.getElementById('live').textContent.startsWith('Episode 1 kept: 5 steps')")
    tap(page, "ArrowRight")
    page.keyboard.press("Backspace")
    hands.in_phase(page, "ready")
    assert (page.inner_text("#t"), page.inner_text("#episodes")) == ("0", "1")
    data = minari.read(seats.folder)
    assert np.asarray(data.data.action).tolist() == [1, 1, 3, 1, 1]


def test_a_key_that_is_held_steps_at_the_pace(hands, studio, seats, opened):
    page = opened(studio(), path="/record")
    page.keyboard.press(",")
    page.keyboard.press(",")
    assert page.inner_text("#pace") == "8 steps a second"
    page.keyboard.down("ArrowUp")
    page.wait_for_timeout(1500)
    page.keyboard.up("ArrowUp")
    page.wait_for_timeout(200)
    taken = steps_of(page)
    assert 7 <= taken <= 14, "1.5 s at 8 a second"
    page.wait_for_timeout(300)
    assert steps_of(page) == taken
    page.keyboard.press(" ")
    hands.in_phase(page, "paused")
    page.select_option("#idle", "0")  # up, while no key is held
    page.keyboard.press(" ")
    hands.in_phase(page, "over")
    assert "reached its time limit after 20 steps" in page.inner_text("#veil")


def test_step_by_step_while_paused(hands, studio, opened):
    page = opened(studio(), path="/record")
    tap(page, "ArrowRight")
    page.keyboard.press(" ")
    hands.in_phase(page, "paused")
    page.keyboard.press("n")
    page.wait_for_function("() => document.getElementById('live').textContent.startsWith('Hold the key')")
    page.keyboard.down("ArrowRight")
    page.wait_for_timeout(300)
    assert steps_of(page) == 1
    page.keyboard.press("n")
    page.wait_for_function("() => document.getElementById('t').textContent === '2'")
    page.keyboard.up("ArrowRight")


def test_a_box_is_pushed_with_adjustable_strength(hands, studio, teaching, opened):
    seats = Seats(Pendulum, teaching.folder / "swing", "Pendulum-v1")
    page = opened(studio(seats=seats), path="/record")
    for _ in range(10):
        page.keyboard.press("[")
    assert page.inner_text("#strength-told") == "50 %"
    page.keyboard.down("q")
    page.wait_for_timeout(500)
    page.keyboard.up("q")
    page.wait_for_timeout(400)
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('main').dataset.kept === '1'")
    action = np.asarray(minari.read(seats.folder).data.action)[:, 0]
    assert action[0] == 1.0 and action[-1] == 0.0 and set(action.tolist()) == {0.0, 1.0}, "half of 2, then nothing"
    seats.close()


def test_on_a_phone_with_buttons(hands, studio, seats, opened):
    page = opened(studio(), path="/record", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in page.locator("main button:visible").all():
        size = button.bounding_box()
        assert size["width"] >= 44 and size["height"] >= 44, button.inner_text()
    for k in range(3):
        page.tap("#pads button:has-text('right')")
        page.wait_for_function("t => document.getElementById('t').textContent === t", arg=str(k + 1))
    hands.in_phase(page, "over")
    page.tap("#keep")
    page.wait_for_function("() => document.getElementById('main').dataset.kept === '1'")
    assert minari.read(seats.folder).size == 3


def test_the_page_says_what_went_wrong_and_goes_on(hands, studio, seats, opened):
    handle = studio()
    page = opened(handle, path="/record")
    tap(page, "ArrowRight")
    other = page.context.new_page()  # the same person, in another tab
    other.goto(f"{handle.url}/record")
    hands.in_phase(other, "ready")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#banner:has-text('opened again elsewhere')")
    page.click("#again")
    hands.in_phase(page, "ready")
    tap(page, "ArrowRight")
    page.route("**/api/record/step", lambda route: route.abort())
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#banner:has-text('does not answer')")
    page.unroute("**/api/record/step")
    tap_again = steps_of(page)
    page.keyboard.press(" ")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("t => Number(document.getElementById('t').textContent) === t", arg=tap_again + 1)
    page.wait_for_selector("#banner", state="hidden")


def test_closing_the_page_frees_the_seat(hands, studio, seats, opened):
    handle = studio()
    page = opened(handle, path="/record")
    assert len(seats._seats) == 1
    page.goto(f"{handle.url}/runs")
    hands.wait_until(lambda: not seats._seats)


def test_everything_has_a_name_and_little_is_said(studio, opened):
    page = opened(studio(), path="/record")
    page.evaluate(
        """() => {
          window.said = [];
          const watch = new MutationObserver(() => window.said.push(document.getElementById('live').textContent));
          watch.observe(document.getElementById('live'), {childList: true, characterData: true, subtree: true});
        }"""
    )
    for _ in range(4):
        tap(page, "ArrowUp")
    assert page.evaluate("window.said") == [], "steps are not announced"
    tree = page.locator("body").aria_snapshot()
    for name in ("up", "right", "Keep", "Discard", "Slower", "Faster", "While no key is held", "as it is now"):
        assert name in tree
    assert 'button ""' not in tree and page.locator("[role=status]").count() == 1
    page.keyboard.press("?")
    assert page.locator("#keys div").count() == 4 and not page.is_visible(".box-only")
