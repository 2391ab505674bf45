"""What learners from replay say when asked for what cannot be."""

import jax
import pytest

from operant.core import Box, Discrete, EnvSpec
from operant.errors import SpecError
from operant.learners.actors.deterministic import Deterministic
from operant.learners.actors.squashed_gaussian import SquashedGaussian
from operant.learners.critics.q_network import QNetwork
from operant.learners.dqn import DQN
from operant.learners.sac import SAC
from operant.learners.td3 import TD3

KEY = jax.random.key(0)
BOX = EnvSpec(Box((3,)), Box((1,), -2.0, 2.0), 50, num_envs=4)
DISCRETE = EnvSpec(Box((3,)), Discrete(2), 50, num_envs=4)
OPEN = EnvSpec(Box((3,)), Box((1,)), 50, num_envs=4)


@pytest.mark.parametrize(
    ("learner", "spec", "text"),
    [
        (DQN(), BOX, r"expected for DQN: Discrete\(n\) actions; got Box\(.*Use SAC, TD3 or PPO"),
        (TD3(), DISCRETE, r"expected for TD3.* float32 with finite bounds; got Discrete\(n=2\)\. Use DQN"),
        (SAC(), OPEN, r"finite bounds; got Box\(.*inf.*Use PPO"),
        (SAC(capacity=3), BOX, r"expected SAC.capacity ≥ rollout × environments = 4; got 3\. Raise capacity"),
        (DQN(hidden=(), dueling=True), DISCRETE, r"at least one hidden layer .* got hidden=\(\)"),
    ],
)
def test_spaces_and_sizes_that_do_not_fit(learner, spec, text):
    with pytest.raises(SpecError, match=text):
        learner.init(spec, key=KEY)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SAC(batch=0), r"expected SAC.batch ≥ 1; got 0"),
        (lambda: TD3(policy_delay=0), r"expected TD3.policy_delay ≥ 1; got 0"),
        (lambda: DQN(learning_starts=-1), r"expected DQN.learning_starts ≥ 0 steps; got -1"),
        (lambda: SAC(discount=1.5), r"expected SAC.discount in \[0, 1\]; got 1.5"),
        (lambda: SquashedGaussian(noise_colour="brown"), r"expected noise_colour 'white' or 'pink'; got 'brown'"),
        (lambda: Deterministic(noise_colour="brown"), r"expected noise_colour 'white' or 'pink'; got 'brown'"),
        (lambda: QNetwork(error="cubic"), r"expected error 'huber' or 'squared'; got 'cubic'"),
        (lambda: DQN(error="cubic"), r"expected error 'huber' or 'squared'; got 'cubic'"),
        (lambda: SquashedGaussian(temperature=0.0), r"expected temperature > 0; got 0.0"),
    ],
)
def test_settings_that_cannot_be(make, text):
    with pytest.raises(SpecError, match=text):
        make()
