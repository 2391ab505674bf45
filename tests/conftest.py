"""What every test shares: strict JAX settings and one compilation cache."""

import jax

import operant  # noqa: F401  (configures XLA first)

jax.config.update("jax_numpy_rank_promotion", "raise")
