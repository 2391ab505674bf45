"""Anyone's reward, from a file or a name: what `--reward`, `--true` and `compare-rewards` take.

| `source` | what it becomes | does loading it run its code? |
|---|---|---|
| `file.py:name`, a function of named fields | a `Program` | yes: the file that was named |
| `file.py:name`, a function of (s, a, s′), whatever it calls them | a `Program` of `obs`, `action`, `next_obs` | yes |
| `file.py:name`, a reward object, or the class of one | itself | yes |
| a run's folder | the reward that it stated, with the states that it learned | no (programs its study names excepted) |
| `Task`, or a table `{ type = "Success", … }` | that class | no |

>>> from operant.core import Box, EnvSpec
>>> reward, states = load_reward("Task", EnvSpec(Box((1,)), Box((1,)), None))
>>> type(reward).__name__, states
('Task', ())
"""

from pathlib import Path

import jax

from operant import config
from operant import study as studies
from operant.core import AbstractReward, EnvSpec, RewardState
from operant.errors import SpecError
from operant.loops.audit import subject_of
from operant.rewards.program import load_program, placed


def load_reward(
    source: str | Path, spec: EnvSpec, *, where: str = "--reward"
) -> tuple[AbstractReward, tuple[RewardState, ...]]:
    """A reward and its states: one a seed from a run, one for a reward that learns nothing but binds names, else ().

    Args:
        spec: the spaces it is to judge.
        where: what a message calls it.

    Raises:
        SpecError: nothing there, or nothing that is a reward; a field the environment lacks; a reward that learns and
            whose states nobody has.
    """
    text, path = str(source), Path(source)
    if path.is_dir():
        from operant import study_run

        found = subject_of(study_run.read(path))
        if found.intent is None:
            raise SpecError(f"{where}: expected a run with a reward at {text}; it has none.")
        return found.intent.reward, found.reward_states
    reward = _from_file(text, spec) if ".py:" in text else studies.read_reward(studies.read_table(text, where), where)
    state = reward.init(spec, key=jax.random.key(0))
    if jax.tree.leaves(state):
        raise SpecError(
            f"{where}: expected a reward with nothing to learn, or the folder of the run that learned it; got "
            f"{type(reward).__name__}, which learns and has learned nothing. Give runs/NAME."
        )
    return reward, (state,) if state != () else ()


def _from_file(text: str, spec: EnvSpec) -> AbstractReward:
    loaded = load_program(text, Path())
    found = loaded.function
    if isinstance(found, AbstractReward):
        return found
    if isinstance(found, type):
        if not issubclass(found, AbstractReward):
            raise SpecError(f"expected a function or a reward at {text}; got the class {found.__name__}.")
        return config.from_plain({}, found, text)  # says which field it needs, where it needs one
    return placed(loaded, spec)
