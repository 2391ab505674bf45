"""Environments: pure JAX (`toy`, `tabular`), any Gymnasium id (`gymnasium`), EnvPool (`envpool`, an extra).

`make` finds one by name. Two kinds and nothing between: a JAX environment is compiled with the learner, a host
environment is stepped from Python. Nothing is imported before it is asked for.
"""

import dataclasses
from typing import Any

from operant.core import AbstractEnv, AbstractHostEnv
from operant.errors import SpecError, nearest


def natives() -> dict[str, type[AbstractEnv]]:
    """The environments written in JAX, by class name and, where they equal one of Gymnasium's, by its id too."""
    from operant.envs import hacking, toy

    public = {name: getattr(home, name) for home in (toy, hacking) for name in home.__all__}
    classes = {name: x for name, x in public.items() if isinstance(x, type) and issubclass(x, AbstractEnv)}
    return {**classes, **toy.GYMNASIUM_IDS}


def make(id: str, **fields: Any) -> AbstractEnv | AbstractHostEnv:
    """An environment by name.

    | `id` | what it is |
    |---|---|
    | `"CartPole-v1"`, `"GridWorld"` | written in JAX here, wherever there is one (`natives()` lists them) |
    | `"Hopper-v5"`, `"module:Env-v0"` | any other Gymnasium id |
    | `"gym:CartPole-v1"` | Gymnasium's own, also where there is one in JAX |
    | `"envpool:HalfCheetah-v5"` | EnvPool's (extra `operant[envpool]`) |
    | `"metaworld:door-open-v3"` | a task of Meta-World (extra `operant[metaworld]`) |

    `fields` are the environment class's; for Gymnasium and EnvPool, whatever is none of theirs goes to the environment
    itself. The environment is tried at once, so that what is wrong shows here.

    Raises:
        SpecError: an unknown name (with the nearest), an unknown field, a missing extra, a space that cannot be used.
        EnvError: the environment's own code failed while it was made.

    >>> make("CartPole-v1").spec.max_steps
    500
    """
    if not isinstance(id, str) or not id.strip():
        raise SpecError(f"expected an environment's name, such as 'CartPole-v1'; got {id!r}.")
    from operant.envs import toy

    native = toy.GYMNASIUM_IDS.get(id) or natives().get(id)
    if native is not None:
        return _made(id, native, fields)
    path, _, rest = id.partition(":")
    if path == "envpool":
        from operant.envs.envpool import EnvPool

        return _host(EnvPool, rest, fields)
    if path == "metaworld":
        from operant.envs.metaworld import MetaWorld

        env = _made(id, MetaWorld, {"task": rest, **fields})
        _ = env.spec  # tries it
        return env
    import gymnasium

    from operant.envs.gymnasium import Gymnasium, suggest

    name = rest if path == "gym" else id
    if ":" not in name and name not in gymnasium.registry:
        raise SpecError(
            f"unknown environment '{id}'. "
            + suggest(name, [*natives(), *gymnasium.registry], "`operant.envs.natives()` lists those in JAX, ")
            + "`gymnasium.pprint_registry()` Gymnasium's, and 'module:Name-v0' imports a module that registers more."
        )
    return _host(Gymnasium, name, fields)


def _made(id: str, cls: type, fields: dict[str, Any]) -> Any:
    known = [f.name for f in dataclasses.fields(cls) if f.init]
    for name in fields:
        if name not in known:
            raise SpecError(f"environment '{id}' has no field '{name}'; {nearest(name, known)}")
    return cls(**fields)


def _host(cls: Any, id: str, fields: dict[str, Any]) -> AbstractHostEnv:
    own = {f.name for f in dataclasses.fields(cls)} - {"id"}
    inner = {**fields.get("kwargs", {}), **{k: v for k, v in fields.items() if k not in own}}
    env = cls(id=id, **{k: v for k, v in fields.items() if k in own - {"kwargs"}}, kwargs=inner)
    _ = env.spec  # tries it
    return env
