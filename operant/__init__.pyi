from .core import Constraint as Constraint
from .core import Intent as Intent
from .envs import make as make
from .loops.audit import audit as audit
from .loops.fit import fit as fit
from .loops.play import play as play
from .loops.rollout import evaluate as evaluate
from .loops.search import search as search
from .loops.train import load as load
from .loops.train import resume as resume
from .loops.train import train as train

__version__: str
