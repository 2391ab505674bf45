"""Side by side with peers: builds each one's environment, runs all in turn, prints medians and ratios.

    python benchmarks/run.py                      everything, five rounds (about 40 minutes on two idle cores)
    python benchmarks/run.py --tasks sac-64 hopper --rounds 3
    python benchmarks/run.py --show benchmarks/results/2026-11-21.json

A round runs every task with every peer once, seed = round, starting one place later each time, so that whatever else
the machine does falls on all alike. A measurement is one process: its wall time and peak memory are the driver's; the
import, compile and run times within it are its own. `operant` runs twice: *cold* with an empty compilation cache,
*warm* with one that an unmeasured run has filled; rejax has no cache, as shipped. The interpreter that runs this file
is Operant's; the others are built in `benchmarks/.envs` from `benchmarks/<peer>.txt`.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVS = HERE / ".envs"
RESULTS = HERE / "results"
TIMEOUT = 1800.0

SB3, REJAX, IMITATION, COLD, WARM = "sb3", "rejax", "imitation", "operant cold", "operant warm"
PLAN: dict[str, tuple[str, ...]] = {
    "cartpole": (SB3, REJAX, COLD, WARM),
    "pendulum": (SB3, REJAX, COLD, WARM),
    "seeds-1": (SB3, REJAX, COLD),
    "seeds-8": (SB3, REJAX, COLD, WARM),
    "compile-1": (REJAX, COLD, WARM),
    "compile-8": (REJAX, COLD),
    "sac-256": (SB3, REJAX, COLD),
    "sac-64": (SB3, REJAX, COLD),
    "hopper": (SB3, COLD),
    "preferences": (IMITATION, COLD, WARM),
    **dict.fromkeys(("bc", "dagger", "gail", "airl", "bc-cheetah", "dagger-cheetah"), (IMITATION, COLD, WARM)),
    **dict.fromkeys(("gail-cheetah", "airl-cheetah"), (IMITATION, COLD)),
}
"""Who runs what."""

TO_TARGET = ("cartpole", "pendulum", "preferences", "bc", "dagger", "gail", "airl", "bc-cheetah", "dagger-cheetah")
"""Tasks that end when a return is reached."""
PACKAGES = {
    SB3: ("stable_baselines3", "torch", "gymnasium", "mujoco", "numpy"),
    REJAX: ("rejax", "jax", "jaxlib", "gymnax", "flax", "distrax", "numpy"),
    IMITATION: ("imitation", "stable_baselines3", "torch", "gymnasium", "mujoco", "seals", "numpy"),
    "operant": ("operant", "jax", "jaxlib", "equinox", "optax", "gymnasium", "mujoco", "numpy"),
}

SHOWN: dict[str, tuple[tuple[str, str], ...]] = {
    "cartpole": (("wall", "s to 475, whole process"), ("build", "s compiling"), ("steps_to_target", "steps to 475")),
    "pendulum": (("wall", "s to −200, whole process"), ("build", "s compiling"), ("steps_to_target", "steps to −200")),
    "seeds-1": (("steps_per_second", "steps/s, compile apart"), ("wall_rate", "steps/s, whole process")),
    "seeds-8": (("steps_per_second", "steps/s, compile apart"), ("wall_rate", "steps/s, whole process")),
    "compile-1": (("build", "s to trace and compile"), ("wall", "s, whole process")),
    "compile-8": (("build", "s to trace and compile"), ("wall", "s, whole process")),
    "sac-256": (("updates_per_second", "updates/s"), ("matmul_share", "of matrix rate"), ("matmul_gflops", "GFLOP/s")),
    "sac-64": (("updates_per_second", "updates/s"), ("matmul_share", "of matrix rate"), ("matmul_gflops", "GFLOP/s")),
    "preferences": (
        ("wall", "s to −200, whole process"),
        ("build", "s compiling"),
        ("steps_to_target", "steps to −200"),
    ),
    **dict.fromkeys(
        ("bc", "dagger", "gail", "airl"),
        (("wall", "s to 475, whole process"), ("build", "s compiling"), ("steps_to_target", "steps to 475")),
    ),
    **dict.fromkeys(
        ("bc-cheetah", "dagger-cheetah"),
        (
            ("wall", "s to 4,000, whole process"),
            ("build", "s compiling"),
            ("steps_to_target", "steps to 4,000"),
            ("env_share", "of it inside the environments"),
        ),
    ),
    **dict.fromkeys(
        ("gail-cheetah", "airl-cheetah", "hopper"),
        (("step_us", "µs an environment step"), ("env_share", "of it inside the environments")),
    ),
}
"""What the table shows of each task; the first is what ratios are of. Memory is shown for all."""

Median = Callable[[str, str, str], float]
"""(task, variant, measurement) -> median over the rounds; NaN where there is none."""


def goals(m: Median) -> list[tuple[str, float, str, float]]:
    """What issues 2 to 4 ask for: (words, value, "≥" or "≤", limit)."""

    def ours_over(peer: str, task: str, name: str, who: str = COLD) -> float:
        return m(task, who, name) / m(task, peer, name)

    rate, wall_rate, updates, step = "steps_per_second", "wall_rate", "updates_per_second", "step_us"
    eight_to_one = m("compile-8", COLD, "build") / m("compile-1", COLD, "build")
    found = [
        ("CartPole to 475, cold: SB3's time over ours", 1 / ours_over(SB3, "cartpole", "wall"), "≥", 2.0),
        ("CartPole to 475, warm: SB3's time over ours", 1 / ours_over(SB3, "cartpole", "wall", WARM), "≥", 5.0),
        ("Pendulum to −200, cold: SB3's time over ours", 1 / ours_over(SB3, "pendulum", "wall"), "≥", 2.0),
        ("Pendulum to −200, warm: SB3's time over ours", 1 / ours_over(SB3, "pendulum", "wall", WARM), "≥", 5.0),
        ("8 seeds, compile apart: our steps/s over SB3's", ours_over(SB3, "seeds-8", rate), "≥", 20.0),
        ("8 seeds, whole process, warm: the same", ours_over(SB3, "seeds-8", wall_rate, WARM), "≥", 20.0),
        ("PPO's chunk, cold: our compile time over rejax's", ours_over(REJAX, "compile-1", "build"), "≤", 0.5),
        ("PPO's chunk, cold: 8 seeds' compile time over one's", eight_to_one, "≤", 1.5),
        ("PPO's chunk, warm: seconds", m("compile-1", WARM, "build"), "≤", 1.0),
        ("SAC 256×256: our updates/s over SB3's", ours_over(SB3, "sac-256", updates), "≥", 2.0),
        ("SAC 256×256: share of the matrix-product rate", m("sac-256", COLD, "matmul_share"), "≥", 0.7),
        ("SAC 64×64: our updates/s over SB3's", ours_over(SB3, "sac-64", updates), "≥", 4.0),
        ("Hopper-v5: our time an environment step over SB3's", ours_over(SB3, "hopper", step), "≤", 1.0),
        ("Hopper-v5: share of our time inside the environments", m("hopper", COLD, "env_share"), "≥", 0.7),
        (
            "Comparisons on Pendulum, cold: imitation's time over ours",
            1 / ours_over(IMITATION, "preferences", "wall"),
            "≥",
            10.0,
        ),
        ("the same, warm", 1 / ours_over(IMITATION, "preferences", "wall", WARM), "≥", 10.0),
    ]
    on_pole = [(name, name, "CartPole") for name in ("bc", "dagger", "gail", "airl")]
    for name, task, place in [*on_pole, *((name, f"{name}-cheetah", "HalfCheetah") for name in ("bc", "dagger"))]:
        for who in (COLD, WARM):
            words = f"{name.upper()} on {place}, {who.split()[1]}: imitation's time over ours"
            found.append((words, 1 / ours_over(IMITATION, task, "wall", who), "≥", 10.0))
    for name in ("bc", "dagger"):
        share = 1 - m(f"{name}-cheetah", WARM, "env_share")
        found.append((f"{name.upper()} on HalfCheetah, after the start: share outside stepping", share, "≤", 0.3))
    for name in ("gail", "airl"):
        task, words = f"{name}-cheetah", f"{name.upper()} on HalfCheetah"
        found.append((f"{words}: imitation's time a step over ours", 1 / ours_over(IMITATION, task, step), "≥", 10.0))
        found.append((f"{words}: share of our time outside stepping", 1 - m(task, COLD, "env_share"), "≤", 0.3))
    return [goal for goal in found if goal[1] == goal[1]]


# --- environments ---------------------------------------------------------------------------------------------------


def python(variant: str) -> str:
    """The interpreter a variant runs in; builds its environment where there is none, or its requirements changed."""
    peer = variant.split()[0]
    if peer == "operant":
        return sys.executable
    requirements, folder = HERE / f"{peer}.txt", ENVS / peer
    interpreter, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return str(interpreter)
    print(f"building the environment of {peer} …", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(interpreter), "-m", "pip", "install", "--quiet"]
    first = [line.strip() for line in requirements.read_text().splitlines() if line.startswith("torch==")]
    if first:  # before and apart from the rest, or a dependency may pull another, much larger build of it
        subprocess.run([*pip, *first], check=True)
    subprocess.run([*pip, "-r", str(requirements)], check=True)
    stamp.write_text(wanted)
    return str(interpreter)


def versions(variant: str) -> dict[str, str]:
    names = PACKAGES[variant.split()[0]]
    code = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    out = subprocess.run([python(variant), "-c", code, *names], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


# --- one measurement ------------------------------------------------------------------------------------------------


def measure(variant: str, task: str, seed: int) -> dict:
    """Run one process; what it says of itself, with the driver's wall time, peak memory and the load before."""
    warm = ENVS / "cache-warm"
    cold = tempfile.mkdtemp(dir=ENVS) if variant == COLD else None
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_", "OMP_", "OPERANT_"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # peers come compiled by pip; ours must be allowed to be
    if variant in (COLD, WARM):
        env["JAX_COMPILATION_CACHE_DIR"] = cold or str(warm)
    command = [python(variant), str(HERE / "peers" / f"{variant.split()[0]}.py"), task, "--seed", str(seed)]
    load = os.getloadavg()[0]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        env["BENCH_T0"] = repr(time.time())
        start = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdout=out, stderr=err)
        timer = threading.Timer(TIMEOUT, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        lines, complaint = out.read().strip().splitlines(), err.read()
    if cold is not None:
        shutil.rmtree(cold, ignore_errors=True)
    own = json.loads(lines[-1]) if process.returncode == 0 and lines else {"error": complaint[-2000:] or "no output"}
    unit = 1024 if sys.platform != "darwin" else 1024**2
    cpu = usage.ru_utime + usage.ru_stime
    row = {**own, "variant": variant, "task": task, "seed": seed, "wall": wall, "cpu": cpu, "load": load}
    row["peak_rss_mb"] = usage.ru_maxrss / unit
    return derive(row)


def derive(row: dict) -> dict:
    """Add what is computed from several measurements of one run."""
    if "error" in row:
        return row
    parts = [row[name] for name in ("trace_seconds", "compile_seconds") if row.get(name) is not None]
    row["build"] = sum(parts) if parts else None
    row["wall_rate"] = row["steps"] / row["wall"] if row.get("steps") else None
    row["step_us"] = 1e6 * row["seconds_per_step"] if row.get("seconds_per_step") else None
    if row["task"] in TO_TARGET and row["time_to_target"] is None:
        row["error"] = f"{row['final_return']:.0f} after {row['steps']} steps: target not reached"
    return row


# --- the whole ------------------------------------------------------------------------------------------------------


def collect(plan: dict[str, tuple[str, ...]], rounds: int, save: Callable[[list[dict]], None]) -> list[dict]:
    """All rounds, interleaved; `save` is called after each."""
    variants = sorted({v for who in plan.values() for v in who})
    for variant in variants:
        python(variant)
    shutil.rmtree(ENVS / "cache-warm", ignore_errors=True)
    for task, who in plan.items():  # not measured: files into the page cache, bytecode, the warm compilation cache
        if WARM in who:
            measure(WARM, task, 0)
    for variant in variants:
        subprocess.run([python(variant), "-c", f"import {PACKAGES[variant.split()[0]][0]}"], check=True)
    jobs, rows = [(task, v) for task, who in plan.items() for v in who], []
    for i in range(rounds):
        shift = i * len(jobs) // rounds
        for task, variant in jobs[shift:] + jobs[:shift]:
            row = measure(variant, task, i)
            rows.append(row)
            said = (row.get("error", "").strip().splitlines() or [""])[-1]
            print(f"{i + 1}/{rounds}  {task:10} {variant:13} {row['wall']:7.1f} s  {said}", flush=True)
        save(rows)
    return rows


def values(rows: list[dict], task: str, variant: str, name: str) -> list[float]:
    mine = [r for r in rows if r["task"] == task and r["variant"] == variant and "error" not in r]
    return [r[name] for r in mine if r.get(name) is not None]


def median(rows: list[dict], task: str, variant: str, name: str) -> float:
    return statistics.median(values(rows, task, variant, name) or [float("nan")])


def judged(rows: list[dict]) -> list[dict]:
    """The goals with verdicts; none on a busy machine, where peers suffer unequally (torch's threads spin)."""
    cores, load = os.cpu_count() or 1, statistics.median(r["load"] for r in rows)
    idle = load <= cores + 0.5  # a measurement itself keeps every core busy
    return [
        {
            "goal": words, "value": value, "wanted": f"{sign} {limit:g}",
            "verdict": verdict(value, sign, limit) if idle else f"not judged at load {load:.0f} on {cores} cores",
        }
        for words, value, sign, limit in goals(lambda *what: median(rows, *what))
    ]  # fmt: skip


def show(record: dict) -> None:
    """Print tables: every measurement with median, extremes and ratio to the first peer; then the goals."""
    rows, lines = record["runs"], []
    for task, shown in SHOWN.items():
        present = [v for v in PLAN[task] if any(r["task"] == task and r["variant"] == v for r in rows)]
        for i, (name, words) in enumerate((*shown, ("peak_rss_mb", "MB peak memory"))):
            for variant in present:
                got = values(rows, task, variant, name)
                if got:
                    mine, base = statistics.median(got), median(rows, task, present[0], name)
                    ratio = f"{mine / base:.2f}" if base == base and base else ""
                    span = f"{number(min(got))} – {number(max(got))}"
                    lines.append((task if i == 0 else "", words, variant, number(mine), span, ratio, str(len(got))))
    table(("task", "measured", "peer", "median", "range", "÷ first peer", "n"), lines)
    print()
    found = [(g["goal"], f"{g['value']:.2f}", g["wanted"], g["verdict"]) for g in judged(rows)]
    table(("goal (ratios of medians)", "here", "wanted", ""), found)
    for r in rows:
        if "error" in r:
            print(f"failed: {r['task']}, {r['variant']}, seed {r['seed']}: {r['error'].strip().splitlines()[-1]}")
    load = [r["load"] for r in rows]
    print(
        f"\n{record['date']}, {record['rounds']} round(s), {record['cores']} cores ({record['processor']}); load "
        f"average before each process {min(load):.1f} – {max(load):.1f} (on an idle machine it stays below the cores)."
    )


def verdict(value: float, sign: str, limit: float) -> str:
    return "met" if (value >= limit if sign == "≥" else value <= limit) else "missed"


def number(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"


def table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> None:
    """With rich where it is installed, plain where not."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]
        for line in (head, *lines):
            print("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)))
        return
    grid = Table(*head, box=None, header_style="bold")
    for line in lines:
        grid.add_row(*line)
    width = None if sys.stdout.isatty() else 140
    Console(width=width).print(grid)


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(PLAN), default=list(PLAN))
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each, at least five for a record")
    parser.add_argument("--build", action="store_true", help="only build the environments")
    parser.add_argument("--show", type=Path, help="print the tables of a recorded run")
    args = parser.parse_args()
    if args.show is not None:
        return show(json.loads(args.show.read_text()))
    ENVS.mkdir(exist_ok=True)
    RESULTS.mkdir(exist_ok=True)
    if args.build:
        for variant in (SB3, REJAX, IMITATION):
            print(variant, versions(variant))
        return None
    plan = {task: PLAN[task] for task in PLAN if task in args.tasks}
    whole = plan == PLAN and args.rounds >= 5
    record = {
        "date": time.strftime("%Y-%m-%d"), "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rounds": args.rounds, "cores": len(os.sched_getaffinity(0)), "processor": processor(),
        "platform": platform.platform(), "python": platform.python_version(), "load_average": os.getloadavg(),
        "versions": {v: versions(v) for v in (SB3, REJAX, IMITATION, "operant")}, "runs": [],
    }  # fmt: skip
    if record["load_average"][0] > 1:
        print(f"The load average is {record['load_average'][0]:.1f}: other work on this machine will blur the ratios.")
    path = RESULTS / (f"{record['date']}.json" if whole else f"{record['date']}-partial.json")

    def save(rows: list[dict]) -> None:
        record.update(runs=rows, goals=judged(rows), load_average_end=os.getloadavg())
        part = path.with_suffix(".part")
        part.write_text(json.dumps(record, indent=1) + "\n")
        part.replace(path)

    collect(plan, args.rounds, save)
    show(record)
    print(f"\nwritten to {path.relative_to(HERE.parent)}")
    return None


if __name__ == "__main__":
    main()
