"""Anyone's policy, from a file: an Operant run, a function, an ONNX file, a Stable-Baselines3 zip.

| `source` | what it becomes | does loading it run its code? |
|---|---|---|
| a run's folder | the `AbstractPolicy` of one seed | no (reward programs its study names excepted) |
| `file.py:function` of one observation, in jax.numpy | an `AbstractPolicy` | yes: the file that was named |
| `policy.onnx` | a `HostPolicy` | no |
| `model.zip` of Stable-Baselines3 | a `HostPolicy` | whatever is pickled in it: only with `trust` |

A `HostPolicy` is audited by its recorded episodes, which `subject_from` runs.
"""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from operant import config
from operant.core import AbstractEnv, AbstractHostEnv, AbstractPolicy, Box, EnvSpec, Intent, Space, Subject
from operant.errors import DataError, SpecError
from operant.loops.audit import FunctionPolicy, subject_of
from operant.loops.host import HostPolicy, run_host


def load_policy(
    source: str | Path,
    env: EnvSpec | AbstractEnv | AbstractHostEnv | None = None,
    *,
    trust: bool = False,
    seed: int = 0,
) -> AbstractPolicy | HostPolicy:
    """A policy from a file (see the module).

    Args:
        env: where it acts, or that environment's spec; a run knows its own.
        trust: whether a Stable-Baselines3 zip may be unpickled, which runs code its author chose.
        seed: which of a run's policies.

    Raises:
        SpecError: nothing there, or nothing that can be loaded; spaces that do not fit; a missing extra; no trust.
        DataError, StoreError: the file cannot be read.
    """
    text, path = str(source), Path(source)
    if path.is_dir():
        from operant.loops.train import load

        return load(path).policy(seed)
    suffix = path.suffix.lower()
    if ".py:" not in text and suffix not in (".onnx", ".zip"):
        raise SpecError(
            f"expected a run's folder, or a policy as 'file.py:function', 'policy.onnx' or 'model.zip' "
            f"(Stable-Baselines3); there is no run at {text}."
        )
    if env is None:
        raise SpecError(f"--env: expected the environment that {text} acts in; add `--env Pendulum-v1`.")
    spec = env if isinstance(env, EnvSpec) else env.spec
    if ".py:" in text:
        function = config.read(text, Callable, "POLICY")
        return FunctionPolicy(spec, function) if env is spec else subject_of(function, env=env).policies[0]
    if not path.is_file():
        raise SpecError(f"expected a policy's file at {text}; there is none. Check the path.")
    return _onnx(path, spec) if suffix == ".onnx" else _sb3(path, spec, trust)


def subject_from(
    source: str | Path,
    env: AbstractEnv | AbstractHostEnv,
    *,
    episodes: int,
    key: PRNGKeyArray,
    trust: bool = False,
    intent: Intent | None = None,
) -> Subject:
    """What `operant.audit` takes, of `load_policy`'s policy: itself, or `episodes` recorded ones of a host policy.

    Raises:
        SpecError, DataError, StoreError: as `load_policy` and `run_host` do.
    """
    policy = load_policy(source, env, trust=trust)
    if isinstance(policy, AbstractPolicy):
        return Subject((policy,), env, intent, name=str(source))
    recorded = run_host(policy, env, episodes=episodes, key=key)
    who: Any = (policy,)
    return Subject(who, env, intent, episodes=(recorded,), name=str(source))


# --- ONNX -----------------------------------------------------------------------------------------------------------


def _onnx(path: Path, spec: EnvSpec) -> HostPolicy:
    try:
        import onnxruntime
    except ImportError as error:
        raise SpecError(f"expected onnxruntime, to run {path}; install it: pip install 'operant[onnx]'.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # same numbers, and no fight with JAX for cores
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no class of their own
        raise DataError(f"expected an ONNX file at {path}; onnxruntime said: {str(error)[:200]}.") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    carries = [i for i in inputs if i.name.startswith("carry") and f"next_{i.name}" in {o.name for o in outputs}]
    seen = [i for i in inputs if i not in carries]
    wanted = _entries(spec.obs)
    single = len(seen) == len(wanted) == 1  # one array may have any name
    names = {i.name: (next(iter(wanted)) if single else i.name) for i in seen}
    if set(names.values()) != set(wanted):
        raise SpecError(
            f"expected {path} to have the inputs {sorted(wanted)}, the observations of "
            f"{spec.name or 'the environment'}; got {sorted(names)}. Rename them, or audit it in "
            "the environment it was made for."
        )
    fixed = False
    for i in seen:
        shape, need = tuple(i.shape), wanted[names[i.name]][0]
        fits = len(shape) == len(need) + 1 and all(
            a == b or not isinstance(a, int) for a, b in zip(shape[1:], need, strict=True)
        )
        if not fits or (shape[0] not in (None, 1) and isinstance(shape[0], int)):
            raise SpecError(
                f"expected {path}'s input '{i.name}' to be of shape (batch, {', '.join(map(str, need))}), the "
                f"observations of {spec.name or 'the environment'}, with batch free or 1; got {shape}."
            )
        fixed |= shape[0] == 1
    answer = "action" if any(o.name == "action" for o in outputs) else outputs[0].name
    dtypes = {i.name: _DTYPES.get(i.type, np.float32) for i in inputs}
    memory = tuple(np.zeros([int(n) for n in c.shape[1:]], dtypes[c.name]) for c in carries)
    asked = [answer, *(f"next_{c.name}" for c in carries)]

    def one(feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        return session.run(asked, feed)

    def act(obs: Any, carry: tuple[np.ndarray, ...]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        arrays = _flat(obs)
        feed = {name: np.asarray(arrays[entry], dtypes[name]) for name, entry in names.items()}
        feed |= {c.name: np.ascontiguousarray(x) for c, x in zip(carries, carry, strict=True)}
        if fixed:  # a file made for one observation at a time
            n = len(next(iter(feed.values())))
            rows = [one({name: x[i : i + 1] for name, x in feed.items()}) for i in range(n)]
            results = [np.concatenate(column) for column in zip(*rows, strict=True)]
        else:
            results = one(feed)
        return results[0], tuple(results[1:])

    return HostPolicy(spec, act, memory, path.name)


_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def _flat(obs: Any) -> dict[str, Any]:
    """The leaves of an observation by the names that `operant.io.onnx` gives them."""
    leaves = jax.tree_util.tree_flatten_with_path(obs)[0]
    return {"/".join(str(k.key) for k in where) or "obs": x for where, x in leaves}


def _entries(space: Space) -> dict[str, tuple[tuple[int, ...], Any]]:
    return {name: (np.shape(x), jnp.asarray(x).dtype) for name, x in _flat(space.zero()).items()}


# --- Stable-Baselines3 ----------------------------------------------------------------------------------------------


def _sb3(path: Path, spec: EnvSpec, trust: bool) -> HostPolicy:
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"expected a Stable-Baselines3 zip (with an entry 'data', JSON) at {path}; got another file."
        ) from (error)
    if not trust:
        pickled = sorted(key for key, x in data.items() if isinstance(x, dict) and ":serialized:" in x)
        raise SpecError(
            f"expected --trust (trust=True) to load {path}: Stable-Baselines3 unpickles {len(pickled)} entries of it "
            f"with cloudpickle ({', '.join(pickled[:4])}{', …' if len(pickled) > 4 else ''}), and its weights with "
            "torch.load; unpickling runs whatever code the file's author put there, with your rights. Give it only for "
            "a file whose author you trust; an ONNX file needs no trust."
        )
    try:
        import stable_baselines3
    except ImportError as error:
        raise SpecError(
            f"expected stable_baselines3, to load {path}; install it: pip install stable-baselines3."
        ) from error
    policy_class = data.get("policy_class", {})
    module = policy_class.get("__module__", "") if isinstance(policy_class, dict) else ""
    if not module.startswith("stable_baselines3."):
        raise SpecError(
            f"expected a policy of Stable-Baselines3's own in {path}; got one of {module or 'an unknown module'!r}. "
            "Export it as ONNX, or run its episodes with operant.loops.host.run_host."
        )
    named = {"dqn": "DQN", "sac": "SAC", "td3": "TD3"}.get(module.split(".")[1])
    algorithm = getattr(stable_baselines3, named or ("PPO" if "n_epochs" in data else "A2C"))
    model = algorithm.load(path, device="cpu")
    _check_shapes(path, model, spec)
    return HostPolicy.of(spec, lambda obs: model.predict(obs, deterministic=True)[0], path.name)


def _check_shapes(path: Path, model: Any, spec: EnvSpec) -> None:
    """Raises SpecError unless the model's arrays are shaped as the environment's (dicts: left to the model)."""
    for what, theirs, ours in (
        ("observations", model.observation_space, spec.obs),
        ("actions", model.action_space, spec.action),
    ):
        shape: tuple[int, ...] = tuple(theirs.shape or ())
        shaped = not isinstance(ours, Box) or shape == ours.shape
        if isinstance(ours, Box) and ours.dtype == "uint8" and len(shape) == 3:  # kept channels first; taken either way
            shaped |= (*shape[1:], shape[0]) == ours.shape
        if not shaped or int(getattr(theirs, "n", 0)) != getattr(ours, "n", 0):
            raise SpecError(
                f"expected {path} to be made for {what} in {ours}; got {theirs}. Audit it in the environment it was "
                "made for."
            )
