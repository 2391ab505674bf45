"""What the documentation shows runs, and the glossary knows every metric."""

import re
import sys
import types
from pathlib import Path

import jax
import pytest

import operant
from operant.core import Constraint, Intent
from operant.learners import PPO
from operant.loops.train import Run
from operant.rewards import Clip, Heuristic, Normalise, PotentialShaping, Program, Task, Terms

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs" / "tutorials").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)#]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / page).read_text()
    blocks = list(BLOCK.finditer(text))
    assert blocks, f"{page} shows no Python"
    module = types.ModuleType("shown")
    monkeypatch.setitem(sys.modules, "shown", module)  # classes are found again by where they are imported from
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(ROOT / page), "exec"), vars(module))  # errors name the page's own line


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md", "docs/index.md", "docs/environments.md"])
def test_links_lead_somewhere(page):
    for target in LINK.findall((ROOT / page).read_text()):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}, which is not there"


def glossary() -> list[str]:
    """Every metric the glossary names, as a pattern: `<name>` stands for one word."""
    text = (ROOT / "docs" / "glossary.md").read_text()
    named = re.findall(r"^\| `([^`]+/[^`]+)` \|", text, re.MULTILINE)
    return [re.sub(r"<[a-z]+>", r"[^/]+", name) for name in named]


def missing(metrics) -> list[str]:
    """Those that the glossary does not name."""
    return [m for m in metrics if not any(re.fullmatch(p, m) for p in glossary())]


@pytest.fixture(scope="module")
def run() -> Run:
    reward = Terms(
        {
            "shaped": PotentialShaping(Task(), Program(lambda angle: -(angle**2)), discount=0.99),
            "advised": Heuristic(Task(), Program(lambda next_angle: -(next_angle**2))),
        }
    )
    cost = Constraint(Program(lambda next_velocity: next_velocity**2), 0.5)
    intent = Intent(Normalise(Clip(reward)), constraints=(cost,), truth=Task())
    learner = PPO(hidden=(8,), rollout=16)
    return operant.train(learner, operant.make("CartPole-v1"), intent, steps=64, num_envs=2, key=jax.random.key(0))


def test_the_glossary_names_what_a_run_measures(run):
    families = {name.partition("/")[0] for name in run.metrics}
    assert {"episode", "loss", "policy", "value", "reward", "clip", "normalise", "shaping", "constraint"} <= families
    assert missing(run.metrics) == []


def test_the_glossary_names_what_the_source_writes():
    """Literal keys, found in the source: learners and loops that no run here takes are covered too."""
    families = (
        "ads|archive|clip|constraint|dagger|emitter|episode|imitation|inverse|inversion|loss|normalise|payoff|policy|"
        "recoil|retrieval|reward|shaping|value"
    )
    key = re.compile(rf'f?"((?:{families})/[\w{{}}]+)"')
    found = {m for path in (ROOT / "operant").rglob("*.py") for m in key.findall(path.read_text())}
    assert len(found) > 25
    assert missing(re.sub(r"\{\w+\}", "x", name) for name in found if not name.startswith("episode/{")) == []


def test_a_metric_that_is_not_there_is_missed():
    assert missing(["loss/policy", "loss/nothing", "reward/a_raw", "reward/a/b/c"]) == ["loss/nothing", "reward/a/b/c"]
