"""The audit of a Reward Report: of this objective, complete, or neither."""

import pytest

from operant.audits import RewardReport
from operant.core import Intent, Verdict
from operant.errors import DataError, SpecError
from operant.io import reward_reports
from operant.io.reward_reports import SECTIONS, Entry, changes, compose, entries_of, missing, prose_of, renew
from operant.rewards import Task

LIKE = {"statement": "Upright.", "reward": "Task", "environment": "Pendulum"}
ALL = {s.title: f"About {s.title.lower()}." for s in SECTIONS if s.title != "Change log"}


@pytest.fixture
def document(tmp_path):
    def document(objective=LIKE, prose=ALL, told={}):  # noqa: B006
        path = tmp_path / "reward_report.md"
        path.write_text(compose(told, prose, [Entry("first", "2026-01-01", objective, {})]))
        return str(path)

    return document


@pytest.fixture
def asked(make_subject, make_episodes, key):
    """`asked(document, statement)`: what the audit finds, with as many sections empty as `missing` allows."""

    def asked(path, statement="Upright.", missing=0):
        intent = Intent(Task(), statement=statement)
        return RewardReport(missing)(make_subject([make_episodes([[0.0]])], intent=intent, document=path), key=key)

    return asked


def test_complete_and_of_this_objective_holds(document, asked):
    found = asked(document())
    assert found.verdict is Verdict.holds and found.value == 0.0 and found.n == len(SECTIONS)


def test_another_objective_fails_and_says_what_differs(document, asked):
    found = asked(document(), "Fast.")
    assert found.verdict is Verdict.fails
    assert 'statement: "Upright." → "Fast."' in found.why


def test_empty_sections_are_a_concern_up_to_the_limit(document, asked):
    path = document(prose={title: text for title, text in ALL.items() if title not in ("Recourse", "Stakeholders")})
    found = asked(path)
    assert found.verdict is Verdict.concern and found.value == 2.0 and "Stakeholders, Recourse" in found.why
    assert asked(path, missing=2).verdict is Verdict.holds


def test_no_document_is_unknown(asked):
    found = asked("nowhere.md")
    assert found.verdict is Verdict.unknown and "operant reward-report" in found.why


def test_prose_and_entries_survive_renewal():
    first = Entry(
        "a", "2026-01-01", {"reward": {"x": {"weight": 1.0}}, "statement": "a --> b -- c"}, {"returns": "holds"}
    )
    second = Entry(
        "b", "2026-01-02", {"reward": {"x": {"weight": 2.0}}, "statement": "a --> b -- c"}, {"returns": "fails"}
    )
    text = compose({"Dates": "then"}, {"Recourse": "Write to us.\n\n- by post"}, [first])
    assert prose_of(text) == {"Recourse": "Write to us.\n\n- by post"}
    again = compose({"Dates": "now"}, prose_of(text), (*entries_of(text), second))
    assert entries_of(again) == (first, second)
    assert "then" not in again and "now" in again and "- by post" in again
    assert "- reward.x.weight: 1.0 → 2.0" in again and "- audit returns: holds → fails" in again
    assert "Dates" not in missing(again) and "Recourse" not in missing(again) and "Limitations" in missing(again)


def test_headings_that_people_add_are_kept_where_they_stand():
    entry = Entry("a", "2026-01-01", {"statement": "x"}, {})
    text = compose({"Dates": "then"}, {}, [entry])
    own = "We.\n\n### Whom to write to\n\nAnn.\n\n## Appendix\n\n*not a question*\n\nMore."
    asks = next(s.asks for s in SECTIONS if s.title == "Recourse")
    text = text.replace(f"*{asks}*\n", f"*{asks}*\n\n{own}\n")
    text = text.replace("# Reward Report: a\n", "# Reward Report: a\n\nA draft.\n")
    assert prose_of(text) == {"": "A draft.", "Recourse": own}
    again = compose({"Dates": "now"}, prose_of(text), [entry])
    assert prose_of(again) == prose_of(text) and again == text.replace("then", "now")
    assert "Recourse" not in missing(again) and "Known failure modes" in missing(again)


def test_changes_by_dotted_path():
    assert changes({"a": {"b": 1}}, {"a": {"b": 1}}) == []
    assert changes({"a": {"b": 1, "c": [1]}}, {"a": {"b": 2}, "d": 0}) == [
        "a.b: 1 → 2", "a.c was removed: [1]", "d was added: 0"
    ]  # fmt: skip


def test_bad_input(tmp_path):
    with pytest.raises(SpecError, match=r"expected RewardReport.missing ≥ 0; got -1"):
        RewardReport(missing=-1)
    with pytest.raises(SpecError, match="at least one run's folder"):
        renew(tmp_path / "r.md", [])
    with pytest.raises(DataError, match=r"expected a run's folder at .*no study.toml"):
        renew(tmp_path / "r.md", [tmp_path])
    (tmp_path / "r.md").write_text(f"{reward_reports.ENTRY}{{oops -->")
    with pytest.raises(DataError, match="one cannot be read"):
        entries_of((tmp_path / "r.md").read_text())
