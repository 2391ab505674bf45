"""What `operant explain` does: why a policy acted as it did at one step of an episode, element by element."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from operant import study as studies
from operant import study_run
from operant.core import AbstractPolicy
from operant.errors import SpecError, nearest
from operant.explanations import LocalApproximation, explain
from operant.io import policies
from operant.loops.rollout import evaluate

METHODS = {
    "smooth-grad": LocalApproximation.smooth_grad,
    "gradients": LocalApproximation.gradients,
    "gradients-times-input": LocalApproximation.gradients_times_input,
    "integrated-gradients": LocalApproximation.integrated_gradients,
    "lime": LocalApproximation.lime,
    "c-lime": LocalApproximation.c_lime,
    "kernel-shap": LocalApproximation.kernel_shap,
    "occlusion": LocalApproximation.occlusion,
}
EPISODES = 8
"""Greedy episodes that say what a usual observation is, and how much each element varies."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """The flags of `operant explain`."""

    subject: str
    env: str = ""
    at: int = 0
    element: int = 0
    method: str = "smooth-grad"
    seed: int = 0
    json: bool = False


def show(asked: Asked) -> int:
    """Print what each element of the observation has to do with the action.

    Raises:
        SpecError: no such policy, method or step; a policy that is not in JAX; observations that are not numbers.
    """
    if asked.method not in METHODS:
        raise SpecError(f"--method: expected a way to explain; got {asked.method!r}: {nearest(asked.method, METHODS)}")
    path, key = Path(asked.subject), jax.random.key(asked.seed)
    if path.is_dir():
        run = study_run.read(path)
        policy, env = run.policy(0), studies.read_env(asked.env, "--env") if asked.env else run.env
    elif path.suffix.lower() in (".onnx", ".zip"):  # not in JAX, whatever is in them
        raise _no_jax(asked.subject)
    else:
        if ".py:" not in asked.subject:
            raise SpecError(
                f"expected a run's folder, or a policy as 'file.py:function'; there is no run at {asked.subject}. "
                f"{study_run.known_runs()}"
            )
        if not asked.env:
            raise SpecError(f"--env: expected the environment that {asked.subject} acts in; add `--env Pendulum-v1`.")
        env = studies.read_env(asked.env, "--env")
        policy = policies.load_policy(asked.subject, env)
    if not isinstance(policy, AbstractPolicy):
        raise _no_jax(asked.subject)
    episodes = jax.tree.map(np.asarray, evaluate(policy, env, episodes=EPISODES, key=key))
    seen = episodes.transitions.obs
    if isinstance(seen, dict):
        raise SpecError(
            f"expected observations of one array; {asked.subject} sees {sorted(seen)}. Explain it in Python."
        )
    last = int(episodes.lengths[0])
    if not 0 <= asked.at < last:
        raise SpecError(f"--at: expected a step in 0 … {last - 1} of the episode; got {asked.at}.")
    rows, obs = seen[episodes.mask].astype(float), seen[0, asked.at]
    scale: Any = np.maximum(rows.std(0), 1e-6)
    remembered = jax.lax.scan(lambda c, o: (policy(o, c, key=None)[2], None), policy.init_carry(), seen[0, : asked.at])
    found = explain(
        policy, obs, method=METHODS[asked.method](), element=asked.element, carry=remembered[0], baseline=rows.mean(0),
        scale=scale, key=key,
    )  # fmt: skip
    action = np.asarray(episodes.transitions.action[0, asked.at]).tolist()
    flat = not np.isfinite(found.faithfulness)
    if asked.json:
        plain = {name: np.asarray(x).tolist() for name, x in dataclasses.asdict(found).items()}
        plain["faithfulness"] = None if flat else found.faithfulness  # JSON knows no NaN
        print(json.dumps(plain | {"action": action, "step": asked.at, "method": asked.method}, indent=1))
        return 0
    console = study_run.stdout()
    said = f"step {asked.at}, action {action}; {asked.method}: R² {found.faithfulness:.3g} on perturbations of its kind"
    console.print(f"{said}\n{found.table()}", markup=False, soft_wrap=True)
    if flat:
        console.print(
            "! no perturbation changed the answer, so that nothing can be told of it: zeros do not mean that an "
            "element has nothing to do with the action. A greedy choice has no gradients; try --method lime.",
            style="yellow", markup=False, soft_wrap=True,
        )  # fmt: skip
    return 0


def _no_jax(subject: str) -> SpecError:
    return SpecError(
        f"expected a policy in JAX, whose nearby actions can be asked for; got {subject}. Give a run's folder or "
        "file.py:function."
    )
