"""imitation's side of the benchmark: `python benchmarks/peers/imitation.py preferences --seed N` prints one JSON line.

Its own `PreferenceComparisons` with PPO of Stable-Baselines3 2.2.1 and the settings of its tutorial on Pendulum-v1
(5_train_preference_comparisons), but for what the task fixes: the widths, the comparisons, the length of segments, an
oracle that does not err. The clock stops after the session in which the target is reached.

Its BC, SimpleDAggerTrainer, GAIL and AIRL with the settings of its documentation's tutorials on the same environment,
seals/CartPole-v0, but for the policy's widths; and on HalfCheetah-v4, which steps as v5 does (it pins a Gymnasium that
has no v5), with observations normalised.
"""

import sys
import tempfile
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not peers/, whose files are named after what they import

import gymnasium  # noqa: E402, F401
import numpy as np  # noqa: E402
import tasks  # noqa: E402  (first: it starts the clock)
import torch  # noqa: E402
from imitation.algorithms import bc  # noqa: E402
from imitation.algorithms import preference_comparisons as pc  # noqa: E402
from imitation.algorithms.adversarial.airl import AIRL  # noqa: E402
from imitation.algorithms.adversarial.gail import GAIL  # noqa: E402
from imitation.algorithms.dagger import SimpleDAggerTrainer  # noqa: E402
from imitation.data.types import Transitions  # noqa: E402
from imitation.data.wrappers import RolloutInfoWrapper  # noqa: E402
from imitation.policies.base import NonTrainablePolicy, NormalizeFeaturesExtractor  # noqa: E402
from imitation.rewards.reward_nets import BasicRewardNet, BasicShapedRewardNet, NormalizedRewardNet  # noqa: E402
from imitation.util.logger import configure  # noqa: E402
from imitation.util.networks import RunningNorm  # noqa: E402
from imitation.util.util import make_vec_env  # noqa: E402
from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.policies import ActorCriticPolicy  # noqa: E402

NORMALISED = {
    "features_extractor_class": NormalizeFeaturesExtractor,
    "features_extractor_kwargs": {"normalize_class": RunningNorm},
}
"""What its policies are given to standardise observations."""


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
        policy_kwargs={"net_arch": {"pi": list(ppo.hidden), "vf": list(ppo.hidden)}, **NORMALISED},
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


class Author(NonTrainablePolicy):
    """The demonstrations'."""

    def _choose_action(self, obs: np.ndarray) -> int | np.ndarray:
        if self.action_space.shape:
            return tasks.strides(np.asarray(obs, np.float32))
        return int(tasks.pushes_right(*np.asarray(obs)))


def imitate(task: tasks.Imitation, seed: int) -> dict:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng, start = np.random.default_rng(seed), tasks.clock()
    wrap = [lambda env, _: RolloutInfoWrapper(env)]
    pole = task.env.startswith("CartPole")
    name, horizon = ("seals:seals/CartPole-v0", 500) if pole else ("HalfCheetah-v4", 1_000)
    fresh = lambda n, s=seed: make_vec_env(name, rng=np.random.default_rng(s), n_envs=n, post_wrappers=wrap)
    env, judge = fresh(task.num_envs), fresh(task.episodes, 10_000 + seed)
    with np.load(Path(tasks.__file__).parent / task.demonstrations) as file:
        obs, acts, after = file["obs"], file["action"], file["next_obs"]
        acts = acts.astype(np.int64) if pole else acts
        dones = (file["terminated"] | file["truncated"]).astype(bool)
    shown = Transitions(obs=obs, acts=acts, infos=np.array([{}] * len(obs)), next_obs=after, dones=dones)
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    quiet = configure(tempfile.mkdtemp(), [])
    found = {"mean": float("nan"), "steps": 0}

    def look(policy, steps: int) -> None:
        mean, _ = evaluate_policy(policy, judge, task.episodes, deterministic=True)
        found.update(mean=float(mean), steps=steps)
        if mean >= task.target:
            raise Reached

    normalised = {} if pole else NORMALISED

    def cloning() -> bc.BC:
        policy = ActorCriticPolicy(
            **spaces, lr_schedule=lambda _: 1e-3, net_arch=list(task.hidden), **normalised
        )  # its own default is 32×32
        return bc.BC(**spaces, rng=rng, policy=policy, demonstrations=shown, custom_logger=quiet)

    def clone() -> None:
        trainer, steps = cloning(), 0
        while steps < task.budget:
            trainer.train(n_batches=task.every, progress_bar=False)
            steps += task.every
            look(trainer.policy, steps)

    def dagger() -> None:
        trainer = SimpleDAggerTrainer(
            venv=env, scratch_dir=tempfile.mkdtemp(), expert_policy=Author(**spaces), rng=rng, bc_trainer=cloning(),
            custom_logger=quiet,
        )  # fmt: skip
        steps = 0
        while steps < task.budget:
            trainer.train(1, bc_train_kwargs={"progress_bar": False})  # one round of its own: 3 episodes, 4 epochs
            steps += 3 * horizon
            look(trainer.policy, steps)

    def adversarial(airl: bool) -> None:
        ppo = PPO(
            "MlpPolicy",
            env,
            batch_size=64,
            ent_coef=0.0,
            gamma=0.95,
            n_epochs=5,
            seed=seed,
            device="cpu",
            learning_rate=5e-4 if airl else 4e-4,
            clip_range=0.1 if airl else 0.2,
            vf_coef=0.1 if airl else 0.5,
            policy_kwargs={"net_arch": {"pi": list(task.hidden), "vf": list(task.hidden)}, **normalised},
        )  # fmt: skip  (its tutorials' settings)
        net = (BasicShapedRewardNet if airl else BasicRewardNet)(**spaces, normalize_input_layer=RunningNorm)
        trainer = (AIRL if airl else GAIL)(
            demonstrations=shown, demo_batch_size=2048 if airl else 1024, gen_replay_buffer_capacity=512,
            n_disc_updates_per_round=16 if airl else 8, venv=env, gen_algo=ppo, reward_net=net, custom_logger=quiet,
            log_dir=tempfile.mkdtemp(),
        )  # fmt: skip
        rounds = [0]

        def seen(_: int) -> None:
            rounds[0] += 1
            found["steps"] = ppo.num_timesteps
            if task.target is not None and rounds[0] * 2048 * task.num_envs % task.every < 2048 * task.num_envs:
                look(ppo, ppo.num_timesteps)

        trainer.train(task.budget, callback=seen)

    reached = None
    try:
        {"bc": clone, "dagger": dagger, "gail": lambda: adversarial(False), "airl": lambda: adversarial(True)}[
            task.method
        ]()
    except Reached:
        reached = tasks.clock()
    seconds = tasks.clock() - start
    return {
        "run_seconds": seconds, "steps": found["steps"], "steps_per_second": found["steps"] / seconds,
        "seconds_per_step": seconds / max(found["steps"], 1),
        "time_to_target": reached, "steps_to_target": found["steps"] if reached else None,
        "final_return": found["mean"],
    }  # fmt: skip


def main() -> None:
    imported = tasks.clock()
    name, seed = tasks.arguments()
    task = tasks.TASKS[name]
    if not isinstance(task, tasks.Preferences | tasks.Imitation):
        raise SystemExit(f"expected a task of preferences or imitation; got {name}")
    measured = preferences(task, seed) if isinstance(task, tasks.Preferences) else imitate(task, seed)
    tasks.report("imitation", name, seed, import_seconds=imported, **measured)


if __name__ == "__main__":
    main()
