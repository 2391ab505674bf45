"""The tasks every peer runs with the same numbers, and the one JSON line each of them prints. Standard library only,
but for `strides`, which is NumPy's.

Networks are two separate MLPs, 64×64 tanh, for policy and value. Losses are written as

    −E[min(ρ Â, clip(ρ) Â)] + value_weight · E[(V − G)²] − entropy · E[H]

so that a peer whose value loss carries its own ½ doubles its coefficient. Known, unremovable differences: rejax always
clips the value's movement by the ratio's clip range, clips gradients element by element, and counts a truncation as a
termination; Pendulum and Hopper therefore run with normalised rewards in every peer, where a clipped value can follow.
"""

import dataclasses
import functools
import itertools
import json
import os
import resource
import sys
import time
from pathlib import Path

START = float(os.environ.get("BENCH_T0", time.time()))
"""When the process was started: the driver's clock if it says so, this import's otherwise."""


@dataclasses.dataclass(frozen=True)
class PPO:
    """Proximal policy optimisation on one environment."""

    env: str
    num_envs: int
    rollout: int
    """Steps a rollout, in each environment."""
    minibatches: int
    epochs: int
    lr: float
    discount: float
    trace: float
    normalise: bool
    """Observations by running moments, rewards by the deviation of the discounted return."""
    clip_value: bool
    """Whether the value's movement is clipped by `clip`."""
    budget: int
    """Environment steps after which a run gives up, or ends."""
    target: float | None = None
    """Mean evaluation return at which the clock stops; None: the whole budget is run, without evaluations."""
    every: int = 0
    """Environment steps between two evaluations."""
    episodes: int = 10
    """Fresh episodes an evaluation, greedy."""
    seeds: int = 1
    clip: float = 0.2
    entropy: float = 0.0
    value_weight: float = 0.5
    max_grad_norm: float = 0.5
    hidden: tuple[int, ...] = (64, 64)
    std: float = 1.0
    """Initial standard deviation of continuous actions, in the environment's units."""

    @property
    def batch(self) -> int:
        return self.num_envs * self.rollout // self.minibatches


@dataclasses.dataclass(frozen=True)
class SAC:
    """Soft actor-critic on Pendulum-v1, one environment step and one update in turn."""

    hidden: tuple[int, ...]
    updates: int
    """Updates measured, after `warm`."""
    env: str = "Pendulum-v1"
    batch: int = 256
    lr: float = 3e-4
    discount: float = 0.99
    tau: float = 0.005
    capacity: int = 100_000
    warm_up: int = 1_000
    """Environment steps before the first update."""
    obs: int = 3
    action: int = 1

    def flops(self) -> float:
        """Multiply-adds of the matrix products of one update, times two; everything else is left out.

        Forward passes: actor on successors, actor on observations, two target critics, two critics twice. Backward:
        weights of actor and critics; inputs of all layers but the first, and in the policy's loss the critics' actions.
        """
        layers = lambda *sizes: [a * b for a, b in itertools.pairwise(sizes)]
        actor = layers(self.obs, *self.hidden, 2 * self.action)
        critic = layers(self.obs + self.action, *self.hidden, 1)
        a, c = sum(actor), sum(critic)
        targets = a + 2 * c
        critics = 2 * (c + c + (c - critic[0]))
        policy = a + a + (a - actor[0]) + 2 * (c + c - critic[0] + self.action * self.hidden[0])
        return 2.0 * self.batch * (targets + critics + policy)


@dataclasses.dataclass(frozen=True)
class Preferences:
    """PPO on a reward that is learned from an oracle's comparisons of random pairs; judged by the true reward.

    Each library brings its own step sizes, minibatches and schedules: there is no common set with which both learn.
    """

    ppo: PPO
    """Read of it: environment, budget, target, episodes, widths; `num_envs` by imitation."""
    comparisons: int
    at_once: int
    """Comparisons between two stretches of training."""
    segment: int
    """Steps of each of the two that are compared."""
    hidden: tuple[int, ...] = (64, 64)
    """Of the reward's one network, on (s, a)."""


@dataclasses.dataclass(frozen=True)
class Imitation:
    """Behaviour from demonstrations (or, DAgger, from their author), on environments whose episodes are of one length.

    Each library brings its own step sizes, minibatches and schedules, as in its documentation; demonstrations, widths,
    target and judge are the same.
    """

    method: str
    """"bc", "dagger", "gail" or "airl"."""
    budget: int
    """Updates (bc) or environment steps after which a run gives up."""
    every: int
    """Of them, between two evaluations."""
    env: str = "CartPole-v1"
    """With a fixed horizon of 500 steps; or HalfCheetah-v5, whose episodes are of 1,000."""
    demonstrations: str = "demonstrations/cartpole.npz"
    """10 episodes (HalfCheetah: 4), from this folder."""
    target: float | None = 475.0
    """None: the whole budget is run, without evaluations."""
    episodes: int = 10
    """Fresh episodes an evaluation, greedy, of the true reward."""
    hidden: tuple[int, ...] = (64, 64)
    """Of the policy; tanh."""
    discriminator: tuple[int, ...] = (32, 32)
    num_envs: int = 8


def pushes_right(position, velocity, angle, speed):
    """What the demonstrations' author does, of numbers or arrays: push where the pole falls, and towards the middle."""
    return 3.0 * angle + speed + 0.1 * position + 0.3 * velocity > 0.0


CARTPOLE = PPO(
    env="CartPole-v1", num_envs=8, rollout=32, minibatches=1, epochs=20, lr=1e-3, discount=0.98, trace=0.8,
    normalise=False, clip_value=False, budget=200_192, target=475.0, every=5_120,
)  # fmt: skip
"""rl-baselines3-zoo's settings for CartPole-v1, with a constant step size and clip range (rejax has no schedules)."""

PENDULUM = PPO(
    env="Pendulum-v1", num_envs=8, rollout=128, minibatches=16, epochs=10, lr=1e-3, discount=0.9, trace=0.95,
    normalise=True, clip_value=True, budget=204_800, target=-200.0, every=10_240,
)  # fmt: skip

HOPPER = PPO(
    env="Hopper-v5", num_envs=8, rollout=256, minibatches=32, epochs=10, lr=3e-4, discount=0.99, trace=0.95,
    normalise=True, clip_value=True, budget=20_480,
)  # fmt: skip


@functools.cache
def author() -> dict:
    """Weights of the author of HalfCheetah's demonstrations: a clone of one of TD3's policies, return 6,100."""
    import numpy

    with numpy.load(Path(__file__).parent / "demonstrations" / "halfcheetah_author.npz") as file:
        return dict(file)


def strides(obs):
    """What it does, of an array (…, 17)."""
    w = author()
    x = (obs - w["mean"]) / w["deviation"]
    for layer in "01":
        x = x @ w["weight" + layer] + w["bias" + layer]
        x = x * (x > 0.0)
    return (x @ w["weight2"] + w["bias2"]).clip(-1.0, 1.0)


PREFERENCES = Preferences(
    dataclasses.replace(PENDULUM, budget=204_800, every=10_240), comparisons=500, at_once=25, segment=50
)

CHEETAH = {"env": "HalfCheetah-v5", "demonstrations": "demonstrations/halfcheetah.npz"}

TASKS: dict[str, PPO | SAC | Preferences | Imitation] = {
    "cartpole": CARTPOLE,
    "pendulum": PENDULUM,
    "seeds-1": dataclasses.replace(CARTPOLE, target=None, budget=102_400),
    "seeds-8": dataclasses.replace(CARTPOLE, target=None, budget=25_600, seeds=8),
    "compile-1": dataclasses.replace(CARTPOLE, target=None, budget=256),
    "compile-8": dataclasses.replace(CARTPOLE, target=None, budget=256, seeds=8),
    "sac-256": SAC(hidden=(256, 256), updates=1_000),
    "sac-64": SAC(hidden=(64, 64), updates=4_000),
    "hopper": HOPPER,
    "preferences": PREFERENCES,
    "bc": Imitation("bc", budget=20_000, every=200),
    "dagger": Imitation("dagger", budget=100_000, every=512),
    "gail": Imitation("gail", budget=300_000, every=16_384),
    "airl": Imitation("airl", budget=300_000, every=16_384),
    "bc-cheetah": Imitation("bc", budget=40_000, every=2_000, target=4_000.0, **CHEETAH),
    "dagger-cheetah": Imitation("dagger", budget=200_000, every=2_048, target=4_000.0, **CHEETAH),
    "gail-cheetah": Imitation("gail", budget=65_536, every=0, target=None, **CHEETAH),
    "airl-cheetah": Imitation("airl", budget=65_536, every=0, target=None, **CHEETAH),
}
"""`seeds-*`: throughput of a fixed budget a seed. `compile-*`: the training chunk, without evaluation.

`gail-cheetah` and `airl-cheetah` do not run to a return: with imitation that is half an hour a run, and five are
wanted."""


def clock() -> float:
    """Seconds since the process was started, imports included."""
    return time.time() - START


def report(peer: str, task: str, seed: int, **measured: float | None) -> None:
    """Print the one line the driver reads; what a peer does not measure is null."""
    line = dict.fromkeys(
        ("import_seconds", "trace_seconds", "compile_seconds", "run_seconds", "steps", "steps_per_second",
         "time_to_target", "steps_to_target", "final_return", "updates_per_second", "matmul_gflops", "matmul_share",
         "env_share", "seconds_per_step")
    )  # fmt: skip
    unknown = set(measured) - set(line)
    if unknown:
        raise KeyError(f"expected measurements of {sorted(line)}; got {sorted(unknown)}. Add them to tasks.report.")
    line |= measured
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    print(json.dumps({"peer": peer, "task": task, "seed": seed, "seconds_total": clock(), **line, "peak_rss_mb": peak}))


def arguments() -> tuple[str, int]:
    """`TASK --seed N` from the command line."""
    usage = f"expected: python {sys.argv[0]} TASK [--seed N], with TASK one of {', '.join(TASKS)}"
    words = sys.argv[1:]
    seed = 0
    if "--seed" in words:
        at = words.index("--seed")
        seed = int(words[at + 1])
        del words[at : at + 2]
    if len(words) != 1 or words[0] not in TASKS:
        raise SystemExit(f"{usage}; got {' '.join(sys.argv[1:]) or 'nothing'}")
    return words[0], seed
