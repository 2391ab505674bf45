"""The table of methods: evidence from committed results, pages that are up to date, examples that are Python."""

import dataclasses
import json
from pathlib import Path

import pytest

from operant import claims, methods
from operant.claims import Result
from operant.errors import SpecError

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "claims" / "results"
STALE = "run `scripts/claims --docs` and commit what it writes"


def test_the_shipped_evidence_is_what_the_committed_results_say():
    assert json.loads(methods.EVIDENCE.read_text()) == methods.assess(RESULTS), STALE


def test_the_pages_are_up_to_date():
    wanted = methods.pages(RESULTS)
    stale = [path for path, text in wanted.items() if not (f := ROOT / "docs" / path).exists() or f.read_text() != text]
    assert not stale, f"{stale}: {STALE}"
    there = {f"methods/{p.name}" for p in (ROOT / "docs" / "methods").glob("*.md")}
    assert there == set(wanted) - {"methods.md"}, STALE


@pytest.mark.parametrize("method", methods.all_methods(), ids=lambda m: m.name)
def test_a_method_is_fully_said(method):
    code = compile(methods.example(method), method.name, "exec")
    assert method.name in methods.example(method)
    if method.name not in ("PPO", "DQN", "SAC", "TD3"):  # these train for minutes
        exec(code, {})
    assert method.evidence in ("equation", "claim", "published")
    assert method.card.paper and method.cls.__name__ == method.name
    assert method.link == "" or method.link.endswith(method.card.arxiv.removeprefix("doi:"))


def test_search_asks_for_every_word_and_suggests_the_nearest():
    assert [m.name for m in methods.search(["1707.06347"])] == ["PPO"]
    assert {m.stem for m in methods.search(["shaping", "ng,"])} == {"potential"}
    with pytest.raises(SpecError, match=r"no method mentions 'PotentialShapng': did you mean 'PotentialShaping'\?"):
        methods.search(["PotentialShapng"])


def _outcome(name, test, holds):
    usual = claims.claims_of("potential", "quick")[2].run()
    plain = {"name": name, "test": test}
    return dataclasses.replace(usual, claim=plain, judged=usual.judged._replace(holds=holds))


@pytest.mark.parametrize(
    ("quick", "published", "word", "counts"),
    [
        ([], [], "equation", (0, 0)),
        ([True], [], "claim", (1, 1)),
        ([False], [], "equation", (0, 1)),
        ([True], [True], "published", (2, 2)),
        ([True], [False], "claim", (1, 2)),
        ([False], [True], "equation", (1, 2)),
    ],
)
def test_evidence_from_results(quick, published, word, counts, tmp_path):
    def result(tier, holds):
        listed = claims.claims_of("ppo", tier)[: len(holds)]
        outcomes = [
            dataclasses.replace(_outcome(c.name, c.test.words, h), claim=json.loads(json.dumps(c.plain())))
            for c, h in zip(listed, holds, strict=True)
        ]
        return Result("ppo", tier, tuple(outcomes))

    result("quick", quick).write(tmp_path)
    result("full", published).write(tmp_path)
    found = methods.assess(tmp_path)["ppo"]
    assert (found["evidence"], (found["reproduced"], found["of"])) == (word, counts)
