"""What "swing the pole up and hold it there, gently" means, in three terms of named fields."""

import jax.numpy as jnp


def upright(cos, sin):
    """Minus the squared angle from upright (rad²)."""
    return -(jnp.arctan2(sin, cos) ** 2)


def calm(velocity):
    """Minus the squared angular velocity ((rad/s)²)."""
    return -(velocity**2)


def effort(torque):
    """Minus the squared torque ((N m)²)."""
    return -(torque**2)
