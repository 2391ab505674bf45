"""What Operant sets in JAX when it is imported, before XLA starts, all of it yours to override.

- One XLA device a processor core, so that the seed axis can be spread over cores: `vmap` alone leaves all but one
  idle. Set `JAX_NUM_CPU_DEVICES` (1 turns it off), or XLA's own flag, and Operant keeps what you set.
- The persistent compilation cache, in the user's cache folder. `JAX_COMPILATION_CACHE_DIR` moves it,
  `JAX_ENABLE_COMPILATION_CACHE=false` turns it off.

JAX itself is not imported for this, which keeps `operant --help` quick.
"""

import contextlib
import os
import sys
from typing import Any

import platformdirs

_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
_settings: dict[str, Any] = {}
if "JAX_NUM_CPU_DEVICES" not in os.environ and "device_count" not in os.environ.get("XLA_FLAGS", ""):
    _settings["jax_num_cpu_devices"] = _cores
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _settings["jax_compilation_cache_dir"] = platformdirs.user_cache_dir("operant", "operant") + "/jax"
if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
    _settings["jax_persistent_cache_min_compile_time_secs"] = 0.0
if "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES" not in os.environ:
    _settings["jax_persistent_cache_min_entry_size_bytes"] = -1

if "jax" in sys.modules:
    import jax

    for _name, _value in _settings.items():
        untouched = jax.config.values.get(_name) in (None, -1, 0, 1.0)
        if untouched or "persistent" in _name:
            with contextlib.suppress(RuntimeError):  # XLA has started already: keep the devices it has
                jax.config.update(_name, _value)
else:
    os.environ.update({name.upper(): str(value) for name, value in _settings.items()})
