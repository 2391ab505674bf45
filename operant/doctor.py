"""`operant doctor`: versions, devices, caches, which extras are here, and what to do about what is not."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

NOTES = {
    "mujoco": "MuJoCo environments, as Hopper-v5",
    "envpool": "MuJoCo and Atari stepped in C++ threads: 2–4× faster at 32 environments",
    "onnx": "export policies, audit exported ones",
    "parquet": "metrics as Parquet",
    "tensorboard": "TensorBoard event files",
    "wandb": "Weights & Biases",
    "studio": "the page where people teach, and runs are watched",
    "postgresql": "people's answers in PostgreSQL, for many labellers",
    "minari": "demonstrations and answers as Minari datasets",
    "metaworld": "Meta-World's tasks and their scripted experts",
    "dev": "tests, docs, linters",
}


def examine() -> dict[str, Any]:
    """What there is, JSON-able: versions, devices, caches, extras, hints."""
    import jax

    from operant.io.card import versions

    found = {
        "versions": versions(),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "devices": [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()],
        "matmul_precision": jax.config.values["jax_default_matmul_precision"] or "default",
        "compilation_cache": _cache(jax.config.values["jax_compilation_cache_dir"]),
        "extras": _extras(),
    }
    return found | {"hints": _hints(found)}


def _cache(folder: str | None) -> dict[str, Any]:
    if not folder:
        return {"folder": None, "files": 0, "megabytes": 0.0, "writable": False}
    path = Path(folder)
    files = [p.stat().st_size for p in path.glob("*") if p.is_file()] if path.is_dir() else []
    there = next(p for p in (path, *path.parents) if p.exists())
    return {
        "folder": folder,
        "files": len(files),
        "megabytes": round(sum(files) / 1e6, 1),
        "writable": os.access(there, os.W_OK),
    }


def _extras() -> dict[str, dict[str, Any]]:
    """Each extra: the packages it asks for, those that are missing, and the command that gets them."""
    required: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("operant") or ():
        if named := re.search(r"extra == ['\"]([\w-]+)['\"]", line):
            package = re.match(r"[\w.-]+", line)
            if package and package[0] != "operant":
                required.setdefault(named[1], []).append(package[0])
    extras = {}
    for extra, packages in required.items():
        missing = [name for name in packages if not _installed(name)]
        extras[extra] = {
            "for": NOTES.get(extra, ""),
            "packages": packages,
            "missing": missing,
            "get": f"pip install 'operant[{extra}]'" if missing else "",
        }
    return extras


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _hints(found: dict[str, Any]) -> list[str]:
    hints = []
    if all(device.startswith("cpu") for device in found["devices"]):
        hints.append(
            "No GPU is visible to JAX. With an NVIDIA one: pip install 'jax[cuda12]'. Small networks on toy "
            "environments lose little without."
        )
        hints.append(
            "MJX on a CPU was measured 20–40× slower than C MuJoCo: step MuJoCo ids on the host (Hopper-v5), or with "
            "the extra envpool."
        )
    elif found["matmul_precision"] == "default":
        hints.append(
            "On a GPU the default precision of matrix products (TF32) changes results: "
            "JAX_DEFAULT_MATMUL_PRECISION=highest gives float32's."
        )
    if not found["compilation_cache"]["folder"]:
        hints.append("The compilation cache is off: every start compiles again. Unset JAX_ENABLE_COMPILATION_CACHE.")
    elif not found["compilation_cache"]["writable"]:
        hints.append(
            f"The compilation cache cannot be written ({found['compilation_cache']['folder']}): every start compiles "
            "again. Set JAX_COMPILATION_CACHE_DIR to a folder that can be."
        )
    if not found["extras"].get("mujoco", {}).get("missing", ["mujoco"]):
        hints += _drawing()
    return hints


def _drawing() -> list[str]:
    """MuJoCo draws through OpenGL; without a display that takes EGL or OSMesa."""
    import ctypes.util

    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("MUJOCO_GL"):
        return []
    if ctypes.util.find_library("EGL") or ctypes.util.find_library("OSMesa"):
        return []
    get = "apt install libegl1 libgl1-mesa-dri" if shutil.which("apt") else "install EGL with Mesa's software driver"
    return [f"MuJoCo cannot draw here (no display, no EGL, no OSMesa), so its runs have no clips: {get}."]


def show(found: dict[str, Any], *, as_json: bool = False) -> None:
    """Print it, for people or for programs."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    import rich.box
    import rich.console
    import rich.table

    console = rich.console.Console(highlight=False)
    table = rich.table.Table(box=rich.box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("versions", " · ".join(f"{name} {version}" for name, version in found["versions"].items()))
    table.add_row("machine", f"{found['platform']}, {found['cores']} cores")
    table.add_row("devices", " · ".join(found["devices"]))
    cache = found["compilation_cache"]
    table.add_row("compilation cache", f"{cache['folder'] or 'off'} ({cache['files']} files, {cache['megabytes']} MB)")
    console.print(table)
    extras = rich.table.Table(box=rich.box.SIMPLE, pad_edge=False)
    for name in ("extra", "for", "", "get it with"):
        extras.add_column(name)
    for name, extra in found["extras"].items():
        missing = extra["missing"]
        state = f"[yellow]missing: {', '.join(missing)}[/]" if missing else "[green]here[/]"
        extras.add_row(name, extra["for"], state, extra["get"].replace("[", r"\["))
    console.print(extras)
    for hint in found["hints"]:
        console.print(f"· {hint}", markup=False, soft_wrap=True)
