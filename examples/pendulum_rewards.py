"""What "swing the pole up and hold it there, gently" means: three terms, each a function of named fields.

A field is named as the environment names it (`cos`, `sin` and `velocity` are observed, `torque` is done); `next_cos` is
`cos` after the step. Write them with jax.numpy: they are compiled with the learner.
"""


def upright(next_cos):
    """How high the tip is: 1 upright, −1 hanging."""
    return next_cos


def calm(next_velocity):
    """Minus the squared angular velocity ((rad/s)²)."""
    return -(next_velocity**2)


def effort(torque):
    """Minus the squared torque ((N m)²)."""
    return -(torque**2)
