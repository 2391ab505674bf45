"""What Operant sets in JAX when it is imported, all of it before XLA starts and all of it yours to override.

- One XLA device a processor core, so that the seed axis can be spread over cores: `vmap` alone leaves them idle.
  `OPERANT_CPU_DEVICES=1` turns this off, as does setting `jax_num_cpu_devices` or XLA's own flag first.
- The persistent compilation cache, in the user's cache folder. `JAX_COMPILATION_CACHE_DIR` moves it,
  `JAX_ENABLE_COMPILATION_CACHE=false` turns it off.
"""

import contextlib
import os

import jax
import platformdirs

if jax.config.jax_compilation_cache_dir is None:
    jax.config.update("jax_compilation_cache_dir", platformdirs.user_cache_dir("operant", "operant") + "/jax")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
_wanted = int(os.environ.get("OPERANT_CPU_DEVICES", _cores))
_flag = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
if not _flag and jax.config.jax_num_cpu_devices == -1:
    with contextlib.suppress(RuntimeError):  # XLA has started already: keep what it has
        jax.config.update("jax_num_cpu_devices", _wanted)
