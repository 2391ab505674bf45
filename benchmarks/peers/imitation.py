"""imitation's side of the benchmark: `python benchmarks/peers/imitation.py preferences --seed N` prints one JSON line.

Its own `PreferenceComparisons` with PPO of Stable-Baselines3 2.2.1 and the settings of its tutorial on Pendulum-v1
(5_train_preference_comparisons), but for what the task fixes: the widths, the comparisons, the length of segments, an
oracle that does not err. The clock stops after the session in which the target is reached.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not peers/, whose files are named after what they import

import gymnasium  # noqa: E402, F401
import numpy as np  # noqa: E402
import tasks  # noqa: E402  (first: it starts the clock)
import torch  # noqa: E402
from imitation.algorithms import preference_comparisons as pc  # noqa: E402
from imitation.policies.base import NormalizeFeaturesExtractor  # noqa: E402
from imitation.rewards.reward_nets import BasicRewardNet, NormalizedRewardNet  # noqa: E402
from imitation.util.networks import RunningNorm  # noqa: E402
from imitation.util.util import make_vec_env  # noqa: E402
from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.policies import ActorCriticPolicy  # noqa: E402


class Reached(Exception):
    """The target was."""


def preferences(task: tasks.Preferences, seed: int) -> dict:
    torch.set_num_threads(1)  # networks this small only lose by more
    torch.manual_seed(seed)
    ppo, start = task.ppo, tasks.clock()
    fresh = lambda n: make_vec_env(ppo.env, rng=np.random.default_rng(10_000 + seed), n_envs=n)
    env = fresh(ppo.num_envs)
    rng = np.random.default_rng(seed)
    net = NormalizedRewardNet(
        BasicRewardNet(
            env.observation_space, env.action_space, use_next_state=False, hid_sizes=task.hidden,
            normalize_input_layer=RunningNorm,
        ),
        RunningNorm,
    )  # fmt: skip
    agent = PPO(
        ActorCriticPolicy, env, n_steps=2048 // ppo.num_envs, batch_size=64, ent_coef=0.01, learning_rate=2e-3,
        clip_range=0.1, gae_lambda=0.95, gamma=0.97, n_epochs=10, seed=seed, device="cpu",
        policy_kwargs={
            "net_arch": {"pi": list(ppo.hidden), "vf": list(ppo.hidden)},
            "features_extractor_class": NormalizeFeaturesExtractor,
            "features_extractor_kwargs": {"normalize_class": RunningNorm},
        },
    )  # fmt: skip
    model = pc.PreferenceModel(net)
    learning = pc.PreferenceComparisons(
        pc.AgentTrainer(agent, net, env, rng, exploration_frac=0.05), net,
        num_iterations=task.comparisons // task.at_once, fragmenter=pc.RandomFragmenter(rng, 0),
        preference_gatherer=pc.SyntheticGatherer(sample=False, rng=rng),
        reward_trainer=pc.BasicRewardTrainer(
            model, pc.CrossEntropyRewardLoss(), rng, batch_size=32, epochs=3, lr=1e-3
        ),
        fragment_length=task.segment, initial_epoch_multiplier=4,
    )  # fmt: skip
    judge, found = fresh(ppo.episodes), {"mean": float("nan"), "steps": 0}

    def look(_: int) -> None:
        mean, _ = evaluate_policy(agent, judge, ppo.episodes, deterministic=True)
        found.update(mean=float(mean), steps=agent.num_timesteps)
        if mean >= ppo.target:
            raise Reached

    reached = None
    try:
        learning.train(ppo.budget, task.comparisons, callback=look)
    except Reached:
        reached = tasks.clock()
    seconds = tasks.clock() - start
    return {
        "run_seconds": seconds, "steps": found["steps"], "steps_per_second": found["steps"] / seconds,
        "time_to_target": reached, "steps_to_target": found["steps"] if reached else None,
        "final_return": found["mean"],
    }  # fmt: skip


def main() -> None:
    imported = tasks.clock()
    name, seed = tasks.arguments()
    task = tasks.TASKS[name]
    if not isinstance(task, tasks.Preferences):
        raise SystemExit(f"expected a task of preferences; got {name}")
    tasks.report("imitation", name, seed, import_seconds=imported, **preferences(task, seed))


if __name__ == "__main__":
    main()
