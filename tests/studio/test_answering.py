"""Answering in a real browser."""


def test_from_the_first_pair_to_the_budget_by_keyboard(hands, studio, teaching, opened):
    page = opened(studio())
    keys = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowDown": "tie", "c": "unsure"}
    given = {}
    for key in [*keys, "ArrowLeft"]:
        pair = hands.on_screen(page, given)
        given[hands.press(page, key)] = keys[key]
        assert pair in given
    page.wait_for_function("() => document.getElementById('live').textContent.includes('stored')")
    assert "6 of 6" not in page.inner_text("#live")
    page.wait_for_function("p => document.getElementById('after').dataset.pair == p", arg=str(pair))
    assert "You: left. Reward: left" in page.inner_text("#verdict")
    assert page.locator("#curves svg path").count() == 2
    given[hands.press(page, "ArrowRight")] = "right"
    page.wait_for_function(
        "() => document.getElementById('empty').textContent.startsWith('Every question is answered')"
    )
    assert teaching.given() == given and len(given) == 6
    page.wait_for_function("() => document.getElementById('answers').textContent === '6'")
    assert page.get_attribute("#used", "value") == "6"
    teaching.budget += 2
    asked = teaching.ask(2)
    assert hands.on_screen(page) == asked[0], "new pairs come by themselves"


def test_the_next_pair_is_there_at_once(hands, studio, teaching, opened):
    page = opened(studio())
    first = hands.on_screen(page)
    page.wait_for_timeout(400)
    took = page.evaluate(
        """async () => {
          const main = document.getElementById('main'), before = main.dataset.pair, began = performance.now();
          const took = () => performance.now() - began;
          document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft', bubbles: true}));
          while ((!main.dataset.pair || main.dataset.pair === before) && took() < 3000)
            await new Promise(requestAnimationFrame);
          return took();
        }"""
    )
    assert took < 100 and hands.on_screen(page) != first


def test_a_key_held_down_or_pressed_too_soon_answers_once(hands, studio, teaching, opened):
    page = opened(studio())
    hands.on_screen(page)
    page.keyboard.down("ArrowLeft")
    for _ in range(5):
        page.keyboard.down("ArrowLeft")  # a repeat
    page.keyboard.up("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # the next pair has just appeared
    page.wait_for_timeout(500)
    assert len(teaching.given()) == 1


def test_buttons_answer_and_space_then_replays(hands, studio, teaching, opened):
    page = opened(studio())
    first = hands.on_screen(page)
    page.click("text=Left is better")
    second = hands.on_screen(page, [first])
    page.keyboard.press(" ")
    page.wait_for_timeout(400)
    assert teaching.given() == {first: "left"} and hands.on_screen(page) == second


def test_undo_brings_the_pair_back(hands, studio, teaching, opened):
    page = opened(studio())
    page.keyboard.press("z")
    page.wait_for_function("() => document.getElementById('live').textContent === 'There is no answer to undo.'")
    first = hands.press(page, "ArrowLeft")
    second = hands.press(page, "ArrowLeft")
    page.keyboard.press("z")
    page.wait_for_function("p => document.getElementById('main').dataset.pair == p", arg=str(second))
    assert teaching.given() == {first: "left"}
    page.wait_for_timeout(300)
    page.keyboard.press("ArrowRight")
    hands.wait_until(lambda: teaching.given() == {first: "left", second: "right"})
    for _ in range(4):
        hands.press(page, "ArrowDown")
    assert len(teaching.given()) == 6


def test_a_skipped_pair_goes_to_somebody_else(hands, studio, teaching, opened):
    handle = studio()
    page = opened(handle)
    first = hands.on_screen(page)
    page.keyboard.press("s")
    hands.on_screen(page, [first])
    assert hands.on_screen(opened(handle, "Bob")) == first
    assert teaching.given() == {}


def test_two_labellers_share_the_work(hands, studio, teaching, opened):
    handle = studio()
    pages = [opened(handle, "Ann"), opened(handle, "Bob")]
    assert hands.on_screen(pages[0]) != hands.on_screen(pages[1])
    for k in range(6):
        hands.press(pages[k % 2], "ArrowLeft")
    assert len(teaching.given()) == 6
    assert {g.labeller for g in teaching.store.given()} == {"Ann", "Bob"}


def test_two_people_of_one_name_see_different_pairs(hands, studio, teaching, opened):
    handle = studio()
    pages = [opened(handle, "Ann"), opened(handle, "Ann")]
    first, second = (hands.press(page, "ArrowLeft") for page in pages)
    assert first != second
    hands.on_screen(pages[0])
    pages[0].keyboard.press("z")
    assert hands.on_screen(pages[0], [b for b in range(1, 7) if b != first]) == first, "one's own answer is undone"
    assert teaching.given() == {second: "left"}
