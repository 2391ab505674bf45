"""What goes wrong while a person answers, in a real browser."""

import shutil


def test_answers_given_while_the_studio_is_down_are_sent_when_it_is_back(hands, studio, teaching, opened):
    handle = studio()
    page = opened(handle)
    first = hands.on_screen(page)
    page.wait_for_timeout(400)  # the next pair is in memory
    handle.stop()
    page.wait_for_selector("#banner:has-text('does not answer')")
    page.keyboard.press("ArrowLeft")
    second = hands.on_screen(page, [first])
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#banner:has-text('2 answers are kept here')")
    assert teaching.given() == {}
    studio(port=int(handle.url.rpartition(":")[2]))
    hands.wait_until(lambda: teaching.given() == {first: "left", second: "right"}, 10)
    page.wait_for_selector("#banner", state="hidden")
    hands.press(page, "ArrowDown")
    assert len(teaching.given()) == 3


def test_an_answer_survives_the_page_and_the_end_of_its_lease(hands, studio, teaching, opened):
    teaching.store.lease_seconds = 2.0
    handle = studio()
    page = opened(handle)
    first = hands.on_screen(page)
    handle.stop()
    page.wait_for_selector("#banner:has-text('does not answer')")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(2300)  # the lease has ended
    studio(port=int(handle.url.rpartition(":")[2]))
    page.reload()
    hands.wait_until(lambda: teaching.given() == {first: "left"}, 10)


def test_an_answer_whose_reply_is_lost_is_stored_once(hands, studio, teaching, opened):
    page = opened(studio())
    sent = []

    def lose(route):
        sent.append(route.request.post_data_json)
        if len(sent) == 1:
            route.fetch()  # it arrives; the reply does not
            return route.abort()
        return route.continue_()

    page.route("**/api/answer", lose)
    hands.press(page, "ArrowLeft")
    assert len(sent) == 2 and sent[0] == sent[1]
    assert len(teaching.given()) == 1


def test_an_undo_whose_reply_is_lost_undoes_once(hands, studio, teaching, opened):
    page = opened(studio())
    first = hands.press(page, "ArrowLeft")
    second = hands.press(page, "ArrowLeft")
    sent = []

    def lose(route):
        sent.append(route.request.post_data_json)
        if len(sent) == 1:
            route.fetch()
            return route.abort()
        return route.continue_()

    page.route("**/api/undo", lose)
    page.keyboard.press("z")
    assert hands.on_screen(page, [b for b in range(1, 7) if b != second]) == second
    assert len(sent) == 2 and sent[0] == sent[1]
    assert teaching.given() == {first: "left"}


def test_closing_the_page_frees_the_pair(hands, studio, teaching, opened):
    handle = studio()
    page = opened(handle)
    first = hands.on_screen(page)
    page.wait_for_timeout(400)
    page.goto(handle.url + "/runs")

    def free():  # the page's word may come after this question: what was leased instead goes back
        question = teaching.store.lease("Bob")
        teaching.store.release(question.id, question.lease)
        return question.id == first

    hands.wait_until(free)


def test_training_that_stopped_is_said_and_answers_are_still_taken(hands, studio, teaching, opened):
    page = opened(studio())
    teaching.told = {"phase": "stopped", "error": "the loss is not finite"}
    page.wait_for_selector("#banner:has-text('Training has stopped: the loss is not finite')")
    hands.press(page, "ArrowLeft")
    assert len(teaching.given()) == 1


def test_a_clip_that_is_still_in_the_making_is_waited_for(hands, studio, teaching, films, opened):
    path = teaching.folder / "clips" / "0-left.webp"
    path.unlink()
    handle = studio()
    page = opened(handle, path="/runs")
    page.goto(handle.link)
    page.fill("#who-name", "Ann")
    page.keyboard.press("Enter")
    page.wait_for_timeout(600)
    assert page.get_attribute("#main", "data-pair") == ""
    shutil.copy(films[0], path)
    assert hands.on_screen(page) == 1
