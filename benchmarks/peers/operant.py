"""Operant's side of the benchmark: `python benchmarks/peers/operant.py TASK --seed N` prints one JSON line.

Throughput goes through the public `train`. Where the clock has to stop inside a run (the target reached, warm-up over)
the same engine that `train` drives is driven from here, chunk by chunk. A task imports what it needs, as a user's
script would.
"""

import dataclasses
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not peers/, whose files are named after what they import

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import tasks  # noqa: E402  (first: it starts the clock)

import operant  # noqa: E402
from operant.core import AbstractEnv, AbstractHostEnv, AbstractPolicy, Box, Intent  # noqa: E402
from operant.learners.ppo import PPO  # noqa: E402
from operant.loops.engines import HostEngine, JaxEngine, member  # noqa: E402
from operant.loops.rollout import evaluate  # noqa: E402
from operant.math import random  # noqa: E402
from operant.rewards.task import Task  # noqa: E402

INTENT = Intent(Task())


def ppo(task: tasks.PPO, action) -> PPO:
    # Ours draws actions in units of the box, and carries the ½ of the value loss itself.
    half = float(np.asarray(action.bounds()[1]).max()) if isinstance(action, Box) else 1.0
    return PPO(
        rollout=task.rollout, epochs=task.epochs, minibatches=task.minibatches, lr=task.lr, discount=task.discount,
        trace=task.trace, clip=task.clip, clip_value=task.clip_value, entropy=task.entropy,
        value_weight=2 * task.value_weight, max_grad_norm=task.max_grad_norm, hidden=task.hidden, activation="tanh",
        log_std=float(np.log(task.std / half)), normalise_obs=task.normalise, normalise_reward=task.normalise,
    )  # fmt: skip


def engine(learner, env, num_envs: int, seed: int, seeds: int = 1, rows: int = 1, intent: Intent = INTENT):
    """What `train` drives, for these settings; `window` is long enough that all iterations are one row."""
    keys = random.children(jax.random.key(seed), seeds)
    kind = JaxEngine if isinstance(env, AbstractEnv) else HostEngine
    spec = dataclasses.replace(env.spec, num_envs=num_envs)
    return kind(learner, env, intent, spec, keys, 1_000_000, rows)


def started(engine) -> tuple:
    """First states and compiled chunk, and the seconds they took."""
    start = time.perf_counter()
    states = engine.start()
    engine.compile(states)
    return states, time.perf_counter() - start


def current(learner, states) -> AbstractPolicy:
    fetch = lambda x: jax.device_put(np.asarray(x)[0])
    return member(learner, 0, 1).policy(jax.tree.map(fetch, states.learner))


def to_target(task: tasks.PPO, seed: int) -> dict:
    env = operant.make(task.env)
    learner = ppo(task, env.spec.action)
    driver = engine(learner, env, task.num_envs, seed)
    states, build = started(driver)
    return until_target(driver, states, build, env, task, task.num_envs * task.rollout, seed)


def until_target(driver, states, build: float, env, task: tasks.PPO | tasks.Imitation, steps_each: int, seed: int):
    """Advance by `task.every` steps and evaluate, in turn, until the target or the budget is reached."""
    inside = stepping() if isinstance(env, AbstractHostEnv) else None
    start, steps, reached, mean = tasks.clock(), 0, None, None
    while reached is None and steps < task.budget:
        states, _, _ = driver.advance(states, task.every // steps_each)
        steps += task.every // steps_each * steps_each
        key = jax.random.key(1_000_000 * (seed + 1) + steps)
        mean = float(evaluate(current(driver.learner, states), env, episodes=task.episodes, key=key).returns.mean())
        if mean >= task.target:
            reached = tasks.clock()
    seconds = tasks.clock() - start
    return {
        "compile_seconds": build, "run_seconds": seconds, "steps": steps, "steps_per_second": steps / seconds,
        "time_to_target": reached, "steps_to_target": steps if reached else None, "final_return": mean,
        "env_share": None if inside is None else sum(inside) / seconds,
    }  # fmt: skip


def stepping() -> list[float]:
    """Seconds of every step that host environments take from now on, in training and in evaluations."""
    from operant.envs.gymnasium import GymnasiumVector

    seconds, step = [], GymnasiumVector.step

    def timed(self: GymnasiumVector, action):
        before = time.perf_counter()
        found = step(self, action)
        seconds.append(time.perf_counter() - before)
        return found

    GymnasiumVector.step = timed
    return seconds


def throughput(task: tasks.PPO, seed: int) -> dict:
    env = operant.make(task.env)
    run = operant.train(
        ppo(task, env.spec.action), env, INTENT, steps=task.budget, num_envs=task.num_envs, seeds=task.seeds,
        key=jax.random.key(seed),
    )  # fmt: skip
    seconds, steps = run.card["run_seconds"], int(run.env_steps[-1]) * task.seeds
    return {
        "compile_seconds": run.card["compile_seconds"], "run_seconds": seconds, "steps": steps,
        "steps_per_second": steps / seconds, "seconds_per_step": seconds / steps,
    }  # fmt: skip


def host(task: tasks.PPO, seed: int) -> dict:
    env = operant.make(task.env)
    driver = engine(ppo(task, env.spec.action), env, task.num_envs, seed)
    states, build = started(driver)
    return stepped(driver, states, build, task.num_envs * task.rollout, task.budget)


def stepped(driver: HostEngine, states, build: float, steps_each: int, budget: int) -> dict:
    """The first iteration compiles, the others are measured."""
    iterations = budget // steps_each
    start = time.perf_counter()
    states, _, _ = driver.advance(states, 1)
    jax.block_until_ready(states)
    first, inside, middle = time.perf_counter() - start, driver.env_seconds, time.perf_counter()
    states, _, _ = driver.advance(states, iterations - 1)
    jax.block_until_ready(states)
    seconds, inside = time.perf_counter() - middle, driver.env_seconds - inside
    driver.close()
    steps = (iterations - 1) * steps_each
    return {
        "compile_seconds": build + max(0.0, first - seconds / (iterations - 1)), "run_seconds": seconds, "steps": steps,
        "steps_per_second": steps / seconds, "seconds_per_step": seconds / steps, "env_share": inside / seconds,
    }  # fmt: skip


def updates(task: tasks.SAC, seed: int) -> dict:
    from operant.learners.sac import SAC

    env = operant.make(task.env)
    learner = SAC(
        rollout=1, gradient_steps=1, batch=task.batch, capacity=task.capacity, learning_starts=task.warm_up,
        lr=task.lr, discount=task.discount, tau=task.tau, hidden=task.hidden,
    )  # fmt: skip
    driver = engine(learner, env, 1, seed)
    states, build = started(driver)
    states, _, _ = driver.advance(states, task.warm_up + task.updates // 10)
    jax.block_until_ready(states)
    before, start = int(states.learner.networks.count[0]), time.perf_counter()
    states, _, _ = driver.advance(states, task.updates)
    count = int(states.learner.networks.count[0]) - before
    seconds = time.perf_counter() - start
    rate, gflops = count / seconds, matmul(task.batch, task.hidden[0])
    return {
        "compile_seconds": build, "run_seconds": seconds, "steps": count, "updates_per_second": rate,
        "matmul_gflops": gflops, "matmul_share": rate * task.flops() / 1e9 / gflops,
    }  # fmt: skip


def preferences(task: tasks.Preferences, seed: int) -> dict:
    """Shipped defaults, but for what the task fixes. What `train` drives, driven from here, to stop at the target."""
    from operant.loops.asking import Asking, Questions, Teaching
    from operant.rewards.preferences.bradley_terry import BradleyTerry
    from operant.rewards.queries.uniform import Uniform
    from operant.teachers import Oracle

    env, learner = operant.make(task.ppo.env), PPO(hidden=task.ppo.hidden)
    reward = BradleyTerry(
        members=1, hidden=task.hidden, segment=task.segment, query=Uniform(), capacity=task.comparisons
    )
    step = 16 * learner.rollout
    driver = engine(learner, env, 16, seed, intent=Intent(reward))
    teaching = Teaching(Oracle(), Questions(task.comparisons, task.at_once))
    keys = random.children(jax.random.key(seed), 1)
    asking = Asking(driver.intent, teaching, driver.spec, keys, task.ppo.budget // step, 1)
    states, build = started(driver)
    start, done, reached, mean = tasks.clock(), 0, None, None
    looks = [round(n / step) for n in range(task.ppo.every, task.ppo.budget + 1, task.ppo.every)]
    for at in sorted({*looks, *asking.sessions}):
        states, _, _ = driver.advance(states, at - done)
        done, states = at, asking.after(states, at)
        if at not in looks:
            continue
        key = jax.random.key(1_000_000 * (seed + 1) + at)
        mean = float(evaluate(current(learner, states), env, episodes=task.ppo.episodes, key=key).returns.mean())
        if mean >= task.ppo.target:
            reached = tasks.clock()
            break
    seconds, steps = tasks.clock() - start, done * step
    return {
        "compile_seconds": build, "run_seconds": seconds, "steps": steps, "steps_per_second": steps / seconds,
        "time_to_target": reached, "steps_to_target": steps if reached else None, "final_return": mean,
    }  # fmt: skip


def cloned(task: tasks.Imitation, seed: int) -> dict:
    """bc: 64 transitions an update; dagger as shipped; gail and airl remember what the agent did for longer."""
    from demonstrations import balance

    from operant.data import demos
    from operant.envs.toy import CartPole
    from operant.learners.bc import BC
    from operant.learners.imitation.dagger import DAgger
    from operant.loops.fit import FitEngine
    from operant.rewards.imitation.airl import AIRL
    from operant.rewards.imitation.demonstrations import Demonstrations
    from operant.rewards.imitation.gail import GAIL

    pole = task.env.startswith("CartPole")
    env = CartPole(fixed_horizon=True) if pole else operant.make(task.env, fixed_horizon=True)
    path = Path(tasks.__file__).parent / task.demonstrations
    if task.method == "bc":
        learner = BC(hidden=task.hidden, activation="tanh", lr=1e-3, batch=64, normalise_obs=not pole)
        spec, keys = dataclasses.replace(env.spec, num_envs=64), random.children(jax.random.key(seed), 1)
        driver = FitEngine(learner, demos.read(path, env.spec), INTENT, spec, keys, 1_000_000, 1)
    elif task.method == "dagger":
        learner = DAgger(
            expert=balance if pole else tasks.strides, hidden=task.hidden, activation="tanh", rollout=64,
            normalise_obs=not pole,
        )  # fmt: skip
        driver = engine(learner, env, task.num_envs, seed)
    else:
        settings = {"hidden": task.discriminator, "activation": "relu", "lr": 1e-3, "batch": 512, "steps": 20}
        by = (
            GAIL(**settings, memory=100_000, penalty=1.0) if task.method == "gail" else AIRL(**settings, memory=100_000)
        )
        learner = PPO(
            rollout=256, epochs=5, minibatches=32, lr=4e-4, discount=0.95, hidden=task.hidden, normalise_obs=not pole
        )  # the pole's raw: fallen ones spin, and moments that hold them would hide those that stand
        intent = Intent(Demonstrations(str(path), by))
        driver = engine(learner, env, task.num_envs, seed, intent=intent)
    states, build = started(driver)
    steps_each = 1 if task.method == "bc" else learner.rollout * task.num_envs
    if task.target is None:
        return stepped(driver, states, build, steps_each, task.budget)
    return until_target(driver, states, build, env, task, steps_each, seed)


def matmul(batch: int, width: int) -> float:
    """GFLOP/s of (batch, width) × (width, width), the best of five."""
    repeats = int(2e9 / (2 * batch * width * width))
    chain = jax.jit(lambda x, w: jax.lax.fori_loop(0, repeats, lambda _, x: x @ w, x))
    x, w = jax.random.normal(jax.random.key(0), (batch, width)), jnp.eye(width)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        jax.block_until_ready(chain(x, w))
        times.append(time.perf_counter() - start)
    return repeats * 2 * batch * width * width / min(times) / 1e9


def main() -> None:
    imported = tasks.clock()
    name, seed = tasks.arguments()
    task = tasks.TASKS[name]
    if isinstance(task, tasks.SAC):
        measured = updates(task, seed)
    elif isinstance(task, tasks.Preferences):
        measured = preferences(task, seed)
    elif isinstance(task, tasks.Imitation):
        measured = cloned(task, seed)
    elif task.target is not None:
        measured = to_target(task, seed)
    elif name.startswith("compile"):
        env = operant.make(task.env)
        _, build = started(engine(ppo(task, env.spec.action), env, task.num_envs, seed, task.seeds))
        measured = {"compile_seconds": build}
    elif task is tasks.HOPPER:
        measured = host(task, seed)
    else:
        measured = throughput(task, seed)
    tasks.report("operant", name, seed, import_seconds=imported, **measured)


if __name__ == "__main__":
    main()
