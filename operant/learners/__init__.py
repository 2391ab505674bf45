"""LEARN: from transitions and a reward function, from demonstrations, or from stored comparisons: a better policy."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
