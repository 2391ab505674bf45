"""`operant demos`: demonstrations recorded from a policy or a scripted expert, brought in, taken out, counted."""

from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import rich.console
import rich.table
from rich.markup import escape

from operant import study as studies
from operant.core import AbstractPolicy
from operant.data import demos
from operant.data.dataset import Dataset
from operant.errors import SpecError
from operant.io import policies
from operant.loops import rollout
from operant.loops.host import run_host

SCRIPTED = "metaworld:"
"""What the tasks with scripted experts of their own begin with."""


def run(
    action: Literal["record", "import", "export", "stats"],
    source: str,
    out: Path | None,
    *,
    env: str | None = None,
    episodes: int = 20,
    seed: int = 0,
    stochastic: bool = False,
    trust: bool = False,
) -> int:
    """Do what `operant demos` was asked; what is written is listed.

    Raises:
        SpecError: no such run, policy or environment, or something that is not said.
        DataError, StoreError: the demonstrations cannot be read or written.
    """
    where: Any = None if env is None else studies.read_env(env, "--env")
    spec = None if where is None else where.spec
    if action == "stats":
        _show(demos.read(source, spec))
        return 0
    if action == "record":
        found = recorded(source, where, episodes=episodes, seed=seed, stochastic=stochastic, trust=trust)
        target = out or Path("demos") / _name(source)
    else:
        if out is None:
            raise SpecError(
                f"--out: expected where to write what {source} holds: a folder (Minari's format), NAME.npz (NumPy) or "
                "NAME.operant; add `--out demos/NAME`."
            )
        found, target = demos.read(source, spec), out
    demos.write(found, target)
    _show(found)
    print(target)
    return 0


def recorded(
    source: str, where: Any, *, episodes: int, seed: int, stochastic: bool = False, trust: bool = False
) -> Dataset:
    """`episodes` whole episodes of a run's policy (its first seed's), of a policy from a file, or of a scripted expert.

    `where`: the environment it acts in; None: the run's. `trust`: whether a Stable-Baselines3 zip may be unpickled.

    Raises: as `run`.
    """
    key = jax.random.key(seed)
    if source.startswith(SCRIPTED):
        from operant.envs.metaworld import MetaWorld, demonstrate  # an extra

        return demonstrate(MetaWorld(source.removeprefix(SCRIPTED)), episodes, seed)
    from operant import study_run

    folder = Path(source)
    if folder.is_dir():
        run = study_run.read(folder)
        policy, where = run.policy(0), where or run.env
    else:
        policy = policies.load_policy(source, where, trust=trust)
    if isinstance(policy, AbstractPolicy):
        found = rollout.evaluate(policy, where, episodes=episodes, key=key, deterministic=not stochastic)
    else:
        found = run_host(policy, where, episodes=episodes, key=key)
    return Dataset.from_episodes(jax.tree.map(np.asarray, found), where.spec, origin=f"{source}, seed {seed}")


def _name(source: str) -> str:
    """What the demonstrations of a run, or of a file's policy, are called."""
    path = Path(source.removeprefix(SCRIPTED).partition(":")[0])
    return path.name if path.is_dir() else path.stem


def _show(found: Dataset) -> None:
    table = rich.table.Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, x in demos.stats(found).items():
        table.add_row(name, escape(_text(x)))
    console = rich.console.Console(highlight=False)
    (console if console.is_terminal else rich.console.Console(highlight=False, width=140)).print(table)


def _text(x: Any) -> str:
    """
    >>> _text({"mean": 2.0, "least": 1.0, "most": 3.0}), _text(12000), _text([])
    ('2 (1 to 3)', '12,000', 'none')
    """
    if isinstance(x, dict):
        return f"{x['mean']:,.4g} ({x['least']:,.4g} to {x['most']:,.4g})"
    if isinstance(x, list):
        return ", ".join(x) or "none"
    return f"{x:,}" if isinstance(x, int) else x or "not said"
