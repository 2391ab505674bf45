"""Operant: teach agents behaviour from what you mean, and check that they learned it.

Six functions: `train`, `fit`, `search`, `evaluate`, `audit`, `play`; with them `make` (an environment by its id), and
`load` and `resume` (run folders). They are imported when first used, so that `import operant` is quick.
"""

import lazy_loader

from operant import _devices as _devices  # first: it configures JAX before XLA can start

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
