"""Many labellers answer at once: is any answer lost or doubled, and how long does one wait?

    .venv/bin/python benchmarks/labellers.py --labellers 20 --seconds 20 --url /tmp/labels.db
    .venv/bin/python benchmarks/labellers.py --labellers 200 --seconds 20 --url postgresql://USER@HOST/DATABASE

Labellers are threads in `--processes` processes; each leases a pair, thinks (`--think` seconds on average),
answers, and sends one answer in ten twice. Meanwhile a trainer asks about new pairs of 50 steps and reads what was
given. In the end the store's log is held against what labellers were told. Prints one JSON line; exits with 1 where an
answer was lost or doubled.
"""

import argparse
import json
import multiprocessing
import os
import random
import sys
import threading
import time

import numpy as np

from operant.core import Transition
from operant.data.comparisons import Store
from operant.data.segments import Pairs, Segments
from operant.teachers import Answer

STEPS, DIM, AT_ONCE = 50, 17, 50


def ask(store: Store, rng: np.random.Generator) -> None:
    """Pairs of the size that Hopper's or HalfCheetah's have."""

    def side() -> Segments:
        number = lambda *shape: rng.normal(size=(AT_ONCE, STEPS, *shape)).astype(np.float32)
        flag = np.zeros((AT_ONCE, STEPS), bool)
        return Segments(Transition(number(DIM), number(6), number(), flag, flag, number(DIM), {}), ~flag)

    store.ask(Pairs(side(), side()), member=0, env_steps=0)


def labeller(store: Store, name: str, stop: float, think: float, told: list, leasing: list, answering: list) -> None:
    chance = random.Random(name)
    while time.time() < stop:
        start = time.perf_counter()
        question = store.lease(name)
        leasing.append(time.perf_counter() - start)
        if question is None:
            time.sleep(0.05)
            continue
        if think:
            time.sleep(chance.expovariate(1.0 / think))
        answer = Answer(chance.randrange(4))
        send = lambda question=question, answer=answer: store.answer(
            question.id, answer, labeller=name, lease=question.lease, key=question.lease, seconds=think
        )
        start = time.perf_counter()
        number = send()
        answering.append(time.perf_counter() - start)
        if chance.random() < 0.1:
            assert send() == number
        told.append((number, question.id, int(answer), name))


def labellers(url: str, names: list[str], start: float, seconds: float, think: float, results) -> None:
    told, leasing, answering, errors = [], [], [], []
    with Store(url) as store:
        time.sleep(max(0.0, start - time.time()))

        def work(name: str) -> None:
            try:
                labeller(store, name, start + seconds, think, told, leasing, answering)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    results.put((told, leasing, answering, errors))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--labellers", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--think", type=float, default=0.0)
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with Store(arguments.url) as store:
        assert not store.given() and not store.waiting(), "expected an empty store"
        for _ in range(20):
            ask(store, rng)
        names = [f"labeller {i}" for i in range(arguments.labellers)]
        start = time.time() + 5.0
        parts = [names[i :: arguments.processes] for i in range(arguments.processes)]
        common = (start, arguments.seconds, arguments.think, results)
        processes = [context.Process(target=labellers, args=(arguments.url, part, *common)) for part in parts]
        for process in processes:
            process.start()
        read, asking = [], []
        while time.time() < start + arguments.seconds:
            read += store.given(read[-1].id if read else 0)
            if store.waiting() < 1000:
                begun = time.perf_counter()
                ask(store, rng)
                asking.append(time.perf_counter() - begun)
            time.sleep(0.05)
        parts = [results.get() for _ in processes]
        for process in processes:
            process.join()
        read += store.given(read[-1].id if read else 0)
    told = sorted(entry for part in parts for entry in part[0])
    leasing, answering = (np.array([t for part in parts for t in part[k]]) for k in (1, 2))
    errors = [error for part in parts for error in part[3]]
    stored = [(g.id, g.pair, int(g.answer), g.labeller) for g in read]
    pairs = [entry[1] for entry in stored]
    report = {
        "url": arguments.url.split("@")[-1], "labellers": arguments.labellers, "processes": arguments.processes,
        "seconds": arguments.seconds, "think": arguments.think, "answers": len(told),
        "answers_per_second": round(len(told) / arguments.seconds, 1),
        "lost": len(set(told) - set(stored)), "not_acknowledged": len(set(stored) - set(told)),
        "doubled": len(pairs) - len(set(pairs)), "errors": len(errors), "first_error": errors[:1],
        "answer_ms": {f"p{q}": round(1e3 * float(np.percentile(answering, q)), 1) for q in (50, 95, 99)},
        "lease_ms": {f"p{q}": round(1e3 * float(np.percentile(leasing, q)), 1) for q in (50, 95, 99)},
        "ask_ms_p50": round(1e3 * float(np.median(asking)), 1) if asking else None,
        "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    print(json.dumps(report))
    return int(bool(report["lost"] or report["doubled"] or report["not_acknowledged"] or errors))


if __name__ == "__main__":
    sys.exit(main())
