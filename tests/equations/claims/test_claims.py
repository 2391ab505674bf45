"""The machinery of claims: outcomes as JSON, partial results, what counts as current, run folders, refusals."""

import dataclasses
import json
import signal

import jax
import numpy as np
import pytest

from operant import claims
from operant.claims import NOT_REPRODUCED, PARTLY, REPRODUCED, Claim, Measured, Outcome, Result
from operant.claims._samples import AbstractSample, Bench, Exact, Figures, LastEpisodes, StableBaselines, Trained, still
from operant.claims._tests import Above, Better, Equal
from operant.errors import DataError, SpecError
from operant.io.recorders import Silent
from operant.learners.ppo import PPO


@dataclasses.dataclass(frozen=True)
class Given(AbstractSample):
    """Figures as given, in the order of the seeds."""

    values: tuple[float, ...]

    def plain(self):
        return {"given": list(self.values)}

    def figures(self, bench):
        return Figures(np.array(self.values), 1.5)


def claim(name="one", subject=(4.0, 5.0, 6.0, 7.0), control=(0.0, 1.0, 2.0, 3.0), **fields):
    usual = dict(
        name=name, tier="quick", statement="It is better.", source="here", baseline="the other", problem="none",
        figure="a number", steps=10, seeds=4, test=Better(), subject=Given(subject), control=Given(control),
    )  # fmt: skip
    return Claim(**usual | fields)


def test_an_outcome_says_what_was_measured_and_survives_json():
    outcome = claim().run()
    assert outcome.verdict == REPRODUCED
    assert outcome.iqm() == (5.5, 1.5)
    assert outcome.judged.value == 4.0 and outcome.judged.p == pytest.approx(1 / 70)
    assert outcome.seconds == 3.0
    back = Outcome.from_plain(json.loads(json.dumps(outcome.to_plain())))
    assert back.judged == outcome.judged and back.subject == outcome.subject and back.versions == outcome.versions
    assert still(back.claim, claim().plain())
    assert claim(subject=(0.0, 1.0, 2.0, 3.0), control=(4.0, 5.0, 6.0, 7.0)).run().verdict == NOT_REPRODUCED


def test_a_definition_that_changed_is_out_of_date_and_a_new_field_is_not():
    stored = json.loads(json.dumps(claim().plain()))
    assert still(stored, claim().plain())
    assert not still(stored, claim(steps=20).plain())
    assert not still(stored, claim(test=Better(level=0.1)).plain())
    assert not still(stored, claim(subject=(1.0,)).plain())
    assert still({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2, "new": 0}]})
    assert not still({"gone": 1}, {})


@pytest.fixture
def method(monkeypatch):
    """A method of three claims, one of which takes days."""
    listed = (claim("one"), claim("two", subject=(9.0, 9.0, 9.0, 9.0)), claim("days", opt_in=True))
    monkeypatch.setattr(claims, "claims_of", lambda name, tier=None: tuple(c for c in listed if tier in (None, c.tier)))
    return "thing"


def test_results_are_written_part_by_part_and_kept(method, tmp_path):
    result = claims.reproduce(method, only=["two"], results=tmp_path)
    assert result.verdict == PARTLY and result.missing == ("one",)
    assert json.loads((tmp_path / "thing-quick.json").read_text())["verdict"] == PARTLY
    result = claims.reproduce(method, only=["one"], results=tmp_path)
    assert [o.name for o in result.outcomes] == ["one", "two"]  # the claims' order, not that of the runs
    assert result.verdict == REPRODUCED and result.missing == ()  # what takes days is not missed
    read = Result.read(tmp_path, method, "quick")
    assert [o.judged for o in read.outcomes] == [o.judged for o in result.outcomes]
    assert len(claims.reproduce(method, results=tmp_path, opt_in=False).outcomes) == 2
    assert len(claims.reproduce(method, results=tmp_path).outcomes) == 3


def test_one_claim_that_does_not_reproduce_is_the_verdict(method, tmp_path):
    result = claims.reproduce(method, results=tmp_path)
    failed = dataclasses.replace(result.outcomes[0], judged=result.outcomes[0].judged._replace(holds=False))
    assert result.with_outcome(failed).verdict == NOT_REPRODUCED
    assert len(result.with_outcome(failed).outcomes) == len(result.outcomes)


def test_show_prints_statement_figures_interval_verdict_and_seconds(method, tmp_path):
    import io

    import rich.console

    text = io.StringIO()
    claims.show(claims.reproduce(method, only=["one"], results=tmp_path), rich.console.Console(file=text, width=200))
    said = text.getvalue()
    for part in ("thing/one", "reproduced", "It is better.", "the other", "5.5 against 1.5", "p = 0.014", "3 s on"):
        assert part in said, part
    assert "thing/two" in said and "not run" in said


def test_refusals_say_what_there_is(tmp_path):
    with pytest.raises(SpecError, match=r"no claims for 'pop': did you mean 'ppo'\?"):
        claims.reproduce("pop")
    with pytest.raises(SpecError, match=r"ppo has no quick claim 'cliping': did you mean 'clipping'\?"):
        claims.reproduce("ppo", only=["cliping"], results=tmp_path)
    with pytest.raises(SpecError, match=r"expected full claims of normalise; it has quick ones only"):
        claims.reproduce("normalise", full=True, results=tmp_path)
    with pytest.raises(DataError, match=r"at least 2 runs of Stable-Baselines3's sac on Hopper-v5 .* got 0"):
        StableBaselines("sac", "Hopper-v5", tmp_path).figures(Bench(jax.random.key(0), 100_000, 3, None, Silent()))


def test_stable_baselines_counts_only_runs_of_the_same_budget(tmp_path):
    for seed, steps in enumerate((100, 100, 50)):
        record = {"steps": steps, "return_mean": float(seed), "seconds": 2.0}
        (tmp_path / f"sac-Hopper-v5-{seed}.json").write_text(json.dumps(record))
    found = StableBaselines("sac", "Hopper-v5", tmp_path).figures(Bench(jax.random.key(0), 100, 3, None, Silent()))
    assert found.values.tolist() == [0.0, 1.0] and found.seconds == 4.0


# --- runs -----------------------------------------------------------------------------------------------------------

SMALL = PPO(rollout=16, epochs=1, minibatches=2, hidden=(4,))


def bench(folder, steps=512, seed=0):
    return Bench(jax.random.key(seed), steps, 2, folder, Silent())


class Interrupting(Silent):
    """Presses Ctrl-C after the first chunk."""

    def record(self, first_iteration, metrics, env_steps):
        signal.raise_signal(signal.SIGINT)


def test_a_run_is_taken_up_where_it_stopped_and_read_back_when_it_is_done(tmp_path):
    sample = Trained(SMALL, "CartPole-v1", LastEpisodes(0.5), num_envs=4)
    whole = sample.figures(bench(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt, match="stopped; what was learned is in") as stopped:
        sample.figures(bench(tmp_path / "parts")._replace(recorder=Interrupting()))
    (folder,) = (tmp_path / "parts").iterdir()
    assert stopped.value.folder == folder
    assert sample.figures(bench(tmp_path / "parts")).values.tolist() == whole.values.tolist()
    written = (folder / "checkpoint.operant").stat().st_mtime_ns
    again = sample.figures(bench(tmp_path / "parts"))
    assert again.values.tolist() == whole.values.tolist() and again.seconds > 0.0
    assert (folder / "checkpoint.operant").stat().st_mtime_ns == written  # read, not run


def test_a_run_of_other_settings_has_another_folder(tmp_path):
    sample = Trained(SMALL, "CartPole-v1", LastEpisodes(0.5), num_envs=4)
    name = sample._digest(bench(tmp_path))
    assert sample._digest(bench(None)) == name
    assert dataclasses.replace(sample, figure=LastEpisodes(0.1))._digest(bench(tmp_path)) == name  # same run
    for other in (
        sample._digest(bench(tmp_path, steps=256)),
        sample._digest(bench(tmp_path, seed=1)),
        dataclasses.replace(sample, learner=PPO(hidden=(4,)))._digest(bench(tmp_path)),
        dataclasses.replace(sample, num_envs=8)._digest(bench(tmp_path)),
    ):
        assert other != name


def test_last_episodes_weighs_by_how_many_ended():
    run = dataclasses.make_dataclass("Run", ["metrics", "env_steps"])(
        {
            "episode/return": np.array([[100.0, 1.0, np.nan, 4.0]]),
            "episode/count": np.array([[9.0, 1.0, 0.0, 2.0]]),
        },
        np.array([25, 50, 75, 100]),
    )
    assert LastEpisodes(0.75)(run, None).tolist() == [3.0]  # (1·1 + 2·4)/3
    run.metrics["episode/count"][:] = 0.0
    with pytest.raises(DataError, match="end an episode"):
        LastEpisodes(0.75)(run, None)


def test_exact_and_above():
    exact = Exact(lambda: np.ones(3), "ones")
    outcome = claim(subject=(1.0,), test=Equal(), control=(1.0,)).run()
    assert outcome.judged.holds and exact.figures(bench(None)).values.tolist() == [1.0, 1.0, 1.0]
    alone = dataclasses.replace(claim(test=Above(3.0)), control=None)
    assert alone.run().verdict == REPRODUCED and alone.run().iqm() == (5.5, None)


# --- every claim there is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", claims.methods())
def test_every_claim_is_fully_said(method):
    known = claims.claims_of(method)
    assert known and len({c.name for c in known}) == len(known)
    for c in known:
        assert c.tier in ("quick", "full")
        for word in (c.statement, c.source, c.baseline, c.problem, c.figure, c.test.words):
            assert len(word) > 5, (c.name, word)
        assert json.loads(json.dumps(c.plain())) == json.loads(json.dumps(c.plain()))
        assert c.seeds >= 3 or c.steps == 0
    assert any(c.tier == "quick" for c in known)


def test_what_claims_share_is_measured_once_and_only_that():
    asked = []

    @dataclasses.dataclass(frozen=True)
    class Counted(AbstractSample):
        value: float

        def figures(self, bench):
            asked.append(self.value)
            return Figures(np.full(bench.seeds, self.value), 1.0)

        def plain(self):
            return {"words": "not enough to tell them apart"}

    measured = Measured()
    bench = Bench(jax.random.key(0), 0, 3, None, Silent())
    first = measured.figures(Counted(1.0), bench)
    assert measured.figures(Counted(1.0), bench) is first
    assert measured.figures(Counted(2.0), bench).values.tolist() == [2.0] * 3
    assert measured.figures(Counted(1.0), bench._replace(seeds=4)).values.shape == (4,)
    measured.figures(Counted(1.0), bench._replace(key=jax.random.key(1)))
    assert asked == [1.0, 2.0, 1.0, 1.0]


def test_every_subject_and_control_can_be_told_from_every_other():
    samples = [s for m in claims.methods() for c in claims.claims_of(m) for s in (c.subject, c.control)]
    by_type = {}
    for sample in filter(None, samples):
        for other in by_type.setdefault(type(sample), []):
            assert (sample == other) in (True, False)
        by_type[type(sample)].append(sample)
