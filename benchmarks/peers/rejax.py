"""rejax's side of the benchmark: `python benchmarks/peers/rejax.py TASK --seed N` prints one JSON line.

Used as its README says: `algo.train` under `jit`, `vmap`ped over seeds. To learn when the target is reached, `train`
is compiled for the steps between two evaluations and called again with the state it returned.
"""

import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not peers/, whose files are named after what they import

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import rejax  # noqa: E402
import tasks  # noqa: E402  (first: it starts the clock)
from rejax.evaluate import evaluate  # noqa: E402


def learner(task: tasks.PPO, steps: int, *, evaluated: bool) -> rejax.PPO:
    """PPO whose `train` runs `steps` environment steps, and evaluates the greedy policy at the end if asked."""
    algo = rejax.PPO.create(
        env=task.env, num_envs=task.num_envs, num_steps=task.rollout, num_minibatches=task.minibatches,
        num_epochs=task.epochs, learning_rate=task.lr, gamma=task.discount, gae_lambda=task.trace, clip_eps=task.clip,
        ent_coef=task.entropy, vf_coef=2 * task.value_weight, max_grad_norm=task.max_grad_norm,
        agent_kwargs={"hidden_layer_sizes": task.hidden, "activation": "tanh"}, normalize_observations=task.normalise,
        normalize_rewards=task.normalise, reward_normalization_discount=task.discount, total_timesteps=steps,
        eval_freq=steps, skip_initial_evaluation=True,
    )  # fmt: skip

    def greedy(algo, ts, rng):
        def act(obs, _):
            if algo.normalize_observations:
                obs = algo.normalize_obs(ts.obs_rms_state, obs)
            dist = algo.actor.apply(ts.actor_ts.params, obs[None], method="_action_dist")
            action = dist.mode()[0]
            if algo.discrete:
                return action
            return jnp.clip(action, algo.action_space.low, algo.action_space.high)

        return evaluate(act, rng, algo.env, algo.env_params, task.episodes)[1]

    return algo.replace(eval_callback=greedy if evaluated else lambda *_: ())


def compiled(f, *args) -> tuple:
    """The compiled function, and the seconds of tracing and of compiling it."""
    start = time.perf_counter()
    lowered = jax.jit(f).lower(*args)
    traced = time.perf_counter()
    executable = lowered.compile()
    return executable, traced - start, time.perf_counter() - traced


def settled(train, state):
    """The state in the types that `train` returns: some of its integers become floats, and that would compile twice."""
    return jax.tree.map(lambda x, y: jnp.asarray(x, y.dtype), state, jax.eval_shape(train, state))


def to_target(task: tasks.PPO, seed: int) -> dict:
    algo, key = learner(task, task.every, evaluated=True), jax.random.key(seed)
    init, trace, build = compiled(algo.init_state, key)
    state = settled(lambda ts: algo.train(train_state=ts)[0], init(key))
    train, *times = compiled(lambda ts: algo.train(train_state=ts), state)
    start, steps, reached, mean = tasks.clock(), 0, None, None
    while reached is None and steps < task.budget:
        state, returns = train(state)
        steps, mean = steps + task.every, float(returns.mean())
        if mean >= task.target:
            reached = tasks.clock()
    seconds = tasks.clock() - start
    return {
        "trace_seconds": trace + times[0], "compile_seconds": build + times[1], "run_seconds": seconds, "steps": steps,
        "steps_per_second": steps / seconds, "time_to_target": reached, "steps_to_target": steps if reached else None,
        "final_return": mean,
    }  # fmt: skip


def throughput(task: tasks.PPO, seed: int) -> dict:
    algo = learner(task, task.budget, evaluated=False)
    key = jax.random.key(seed)
    if task.seeds == 1:
        train, trace, build = compiled(algo.train, key)
    else:
        key = jax.random.split(key, task.seeds)
        train, trace, build = compiled(jax.vmap(algo.train), key)
    start = time.perf_counter()
    jax.block_until_ready(train(key))
    seconds, steps = time.perf_counter() - start, task.budget * task.seeds
    return {
        "trace_seconds": trace, "compile_seconds": build, "run_seconds": seconds, "steps": steps,
        "steps_per_second": steps / seconds, "seconds_per_step": seconds / steps,
    }  # fmt: skip


def updates(task: tasks.SAC, seed: int) -> dict:
    algo = rejax.SAC.create(
        env=task.env, num_envs=1, buffer_size=task.capacity, fill_buffer=task.warm_up, batch_size=task.batch,
        learning_rate=task.lr, gamma=task.discount, polyak=1 - task.tau, hidden_layer_sizes=task.hidden,
        total_timesteps=task.updates, eval_freq=task.updates, skip_initial_evaluation=True,
    ).replace(eval_callback=lambda *_: ())  # fmt: skip
    chunk = lambda ts: algo.train(train_state=ts)[0]
    state = settled(chunk, algo.init_state(jax.random.key(seed)))
    train, trace, build = compiled(chunk, state)  # the warm-up is the same training, called first
    while int(state.global_step) <= task.warm_up:
        state = jax.block_until_ready(train(state))
    start = time.perf_counter()
    jax.block_until_ready(train(state))
    seconds = time.perf_counter() - start
    rate, gflops = task.updates / seconds, matmul(task.batch, task.hidden[0])
    return {
        "trace_seconds": trace, "compile_seconds": build, "run_seconds": seconds, "steps": task.updates,
        "updates_per_second": rate, "matmul_gflops": gflops, "matmul_share": rate * task.flops() / 1e9 / gflops,
    }  # fmt: skip


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
    elif task.target is None:
        measured = throughput(task, seed)
    else:
        measured = to_target(task, seed)
    tasks.report("rejax", name, seed, import_seconds=imported, **measured)


if __name__ == "__main__":
    main()
