"""Records: what is written is read back to the bit, what is cut short is dropped, and refusals say why."""

import io
import json
import sys
import types

import numpy as np
import pytest
import rich.console

from operant.core import Status
from operant.errors import DataError, SpecError, StoreError
from operant.io.recorders import AbstractRecorder, Console, Csv, Parquet, Several, Silent, TensorBoard, WandB


def some(seeds=3, iterations=5, first=0):
    """Metrics with the numbers that are hard to write: NaN, infinities, subnormals, −0, neighbours of 1."""
    rng = np.random.default_rng(first)
    bits = rng.integers(0, 2**32, (seeds, iterations), dtype=np.uint32).view(np.float32)
    hard = np.resize(np.float32([np.nan, np.inf, -np.inf, -0.0, 1e-45, 1 + 2**-23, 0.1, 3.4028235e38]), bits.shape)
    return {"loss/any bits": np.where(np.isnan(bits), np.float32(0), bits), "episode/return": hard}


def steps(iterations=5, first=0):
    return (np.arange(iterations) + 1 + first) * 2048 * 1_000_000


def same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == np.float32
        np.testing.assert_array_equal(np.isnan(a[name]), np.isnan(b[name]))
        finite = ~np.isnan(a[name])
        np.testing.assert_array_equal(a[name][finite].view(np.uint32), b[name][finite].view(np.uint32))


def test_csv_reads_back_the_same_bits(tmp_path):
    recorder = Csv(tmp_path / "new" / "folder")
    recorder.start({})
    recorder.record(0, some(), steps())
    recorder.record(5, some(first=5), steps(first=5))
    metrics, env_steps = Csv.read(tmp_path / "new" / "folder")
    same_bits(metrics, {k: np.concatenate([some()[k], some(first=5)[k]], 1) for k in some()})
    np.testing.assert_array_equal(env_steps, steps(10))
    assert env_steps.dtype == np.int64


def test_resume_forgets_what_came_after_and_a_row_cut_short(tmp_path):
    recorder = Csv(tmp_path)
    recorder.start({})
    recorder.record(0, some(), steps())
    whole = recorder.path.read_bytes()
    recorder.record(5, some(first=5), steps(first=5))
    with open(recorder.path, "a") as file:
        file.write("0,10,1")  # killed while writing

    again = Csv(tmp_path)
    again.start({})
    again.resume(5)
    assert again.path.read_bytes() == whole
    again.record(5, some(first=5), steps(first=5))
    np.testing.assert_array_equal(Csv.read(tmp_path)[1], steps(10))
    again.resume(0)
    again.record(0, {"another/name": np.zeros((1, 1), np.float32)}, np.array([8]))
    assert list(Csv.read(tmp_path)[0]) == ["another/name"]


def test_read_drops_an_iteration_that_lacks_seeds(tmp_path):
    recorder = Csv(tmp_path)
    recorder.start({})
    recorder.record(0, some(), steps())
    text = recorder.path.read_text().splitlines(keepends=True)
    recorder.path.write_text("".join(text[:-1]) + text[-1][:7])
    metrics, env_steps = Csv.read(tmp_path)
    same_bits(metrics, {k: v[:, :4] for k, v in some().items()})
    assert len(env_steps) == 4


def test_csv_says_what_it_refuses(tmp_path):
    recorder = Csv(tmp_path)
    recorder.start({})
    recorder.record(0, some(), steps())
    with pytest.raises(
        DataError, match=r"first record in every later one; got \['new'\] more and .*'loss/any bits'.* fewer"
    ):
        recorder.record(5, {"new": np.zeros((3, 5)), "episode/return": np.zeros((3, 5))}, steps())
    with pytest.raises(StoreError, match=r"no metrics yet at .*metrics\.csv; a run is recorded there"):
        Csv(tmp_path).record(0, some(), steps())
    with pytest.raises(DataError, match=r"'a' of shape \(S, 5\), seeds × iterations; got \(3,\)"):
        Csv(tmp_path / "b").record(0, {"a": np.zeros(3)}, steps())
    recorder.path.write_text("seed,iteration,env_steps,a\n0,0,1,x\n")
    with pytest.raises(DataError, match=r"4 numbers a line"):
        Csv.read(tmp_path)
    recorder.path.write_text("seed,iteration,env_steps,a\n0,0,1,1\n0,0,1,1\n1,1,1,1\n")
    with pytest.raises(DataError, match=r"each iteration in .* once, with seeds 0 … 1"):
        Csv.read(tmp_path)
    with pytest.raises(StoreError, match=r"expected to read .*metrics\.csv"):
        Csv.read(tmp_path / "nowhere")


def test_a_full_disk_or_a_folder_that_cannot_be_is_a_store_error(tmp_path):
    (tmp_path / "metrics.csv").symlink_to("/dev/full")
    with pytest.raises(StoreError, match=r"write .*metrics\.csv; .*No space left.* \([\d,]+ bytes free\)"):
        Csv(tmp_path).record(0, some(), steps())
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"write .*file.metrics\.csv; .*Free space, or choose a folder"):
        Csv(tmp_path / "file").start({})


def test_parquet_holds_the_table_of_the_csv_also_after_a_resume(tmp_path):
    both = Several(Csv(tmp_path), Parquet(tmp_path))
    both.start({})
    both.record(0, some(), steps())
    again = Several(Csv(tmp_path), Parquet(tmp_path))  # the first was killed: no parquet yet
    again.start({})
    again.resume(3)
    again.record(3, some(first=5), steps(first=3))
    again.end([Status.done] * 3)
    table = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "metrics.parquet")
    metrics, env_steps = Csv.read(tmp_path)
    assert table.column_names == ["seed", "iteration", "env_steps", *metrics]
    np.testing.assert_array_equal(table["env_steps"].to_numpy().reshape(-1, 3)[:, 0], env_steps)
    same_bits({k: table[k].to_numpy().reshape(-1, 3).T for k in metrics}, metrics)


def test_tensorboard_writes_finite_numbers_a_folder_a_seed(tmp_path):
    recorder = TensorBoard(tmp_path)
    recorder.start({})
    recorder.record(0, {"episode/return": np.array([[1.5, np.nan], [2.5, 3.5]])}, np.array([10, 20]))
    recorder.end([Status.done] * 2)
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for seed in (0, 1):
        (path,) = (tmp_path / f"seed_{seed}").iterdir()
        raw, values = path.read_bytes(), []
        while raw:  # a record: length (8), its checksum (4), the event, its checksum (4)
            length = int.from_bytes(raw[:8], "little")
            event = Event.FromString(raw[12 : 12 + length])
            values += [(event.step, v.tag, v.simple_value) for v in event.summary.value]
            raw = raw[16 + length :]
        found[seed] = values
    assert found == {0: [(10, "episode/return", 1.5)], 1: [(10, "episode/return", 2.5), (20, "episode/return", 3.5)]}


def test_wandb_logs_the_middle_and_each_seed_by_environment_steps(monkeypatch):
    logged, seen = [], {}
    run = types.SimpleNamespace(
        log=lambda x, step: logged.append((step, x)), finish=lambda exit_code: seen.update(exit_code=exit_code)
    )
    fake = types.SimpleNamespace(init=lambda **options: seen.update(options) or run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    recorder = WandB("operant", name="a run")
    recorder.start({"seeds": 2})
    recorder.record(0, {"loss/x": np.array([[1.0, np.nan], [3.0, 5.0]])}, np.array([10, 20]))
    recorder.end([Status.done, Status.non_finite])
    assert logged == [
        (10, {"loss/x": 2.0, "seed_0/loss/x": 1.0, "seed_1/loss/x": 3.0}),
        (20, {"loss/x": 5.0, "seed_1/loss/x": 5.0}),
    ]
    assert seen == {"project": "operant", "name": "a run", "config": {"seeds": 2}, "exit_code": 1}


@pytest.mark.parametrize(
    ("module", "make", "extra"),
    [
        ("wandb", lambda f: WandB("x"), "wandb"),
        ("tensorboardX", TensorBoard, "tensorboard"),
        ("pyarrow", Parquet, "parquet"),
    ],
)
def test_a_missing_extra_names_the_command(monkeypatch, tmp_path, module, make, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SpecError, match=rf"expected the package {module}; .*pip install 'operant\[{extra}\]'"):
        make(tmp_path)


def test_console_shows_compiling_apart_then_rate_time_left_and_return(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("operant.io.recorders.time.perf_counter", lambda: now[0])
    out = io.StringIO()
    with Console(rich.console.Console(file=out, width=200)) as console:
        console.start({"title": "Pendulum [1]", "steps": 4000, "seeds": 2})
        assert console._progress.tasks[0].description.endswith("compiling")
        now[0] = 150.0
        console.phase("training")
        now[0] = 152.0
        console.record(0, {"episode/return": np.array([[-2.0, np.nan], [-4.0, -6.0]])}, np.array([500, 1000]))
        # 1000 steps of each of 2 seeds in 2 s, the 50 s of compiling left out; 3000 more take 6 s; (−2 − 6) / 2 = −4
        assert console.line() == "1k of 4k steps × 2 seeds · 1k steps/s · 0:06 left · return -4"
        console.end([Status.done, Status.non_finite])
    assert "Pendulum [1]" in out.getvalue()
    assert "seeds: 1 done, 1 non_finite" in out.getvalue()


def test_console_of_a_resumed_run_counts_only_what_it_did_itself(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("operant.io.recorders.time.perf_counter", lambda: now[0])
    console = Console(rich.console.Console(file=io.StringIO()))
    console.start({"steps": 4000})
    console.resume(2)
    console.phase("training")
    now[0] = 10.0
    console.record(2, {}, np.array([3000]))  # iterations of 1000 steps: 2000 were done before
    assert console.line() == "3k of 4k steps · 100 steps/s · 0:10 left"
    console.close()


def test_several_passes_everything_on_in_order():
    calls = []

    class Spy(AbstractRecorder):
        def __init__(self, name):
            self.name = name

        def record(self, *args):
            calls.append((self.name, "record"))

    for what in ("start", "resume", "phase", "end", "close"):
        setattr(Spy, what, lambda self, *args, what=what: calls.append((self.name, what)))
    with Several(Spy("a"), Silent(), Spy("b")) as both:
        both.start({})
        both.resume(1)
        both.phase("training")
        both.record(0, {}, np.zeros(0))
        both.end([])
    order = ["start", "resume", "phase", "record", "end", "close"]
    assert calls == [(name, what) for what in order for name in "ab"]


def test_what_starts_a_run_is_json(tmp_path):
    info = {"title": "x", "steps": 10, "seeds": 1, "config": {"lr": 1e-3}}
    for recorder in (Silent(), Csv(tmp_path)):
        recorder.start(json.loads(json.dumps(info)))
        recorder.end([Status.done])
    assert not (tmp_path / "metrics.csv").exists()


def test_parquet_loses_no_row_of_a_run_trained_further_killed_and_resumed(tmp_path):
    both = lambda: Several(Csv(tmp_path), Parquet(tmp_path))

    def go(recorder, first, n):
        recorder.record(first, some(iterations=n, first=first), steps(n, first))

    one = both()
    one.start({})
    go(one, 0, 3)
    one.end([Status.done] * 3)
    two = both()
    two.start({})
    two.resume(3)
    go(two, 3, 4)  # and killed
    three = both()
    three.start({})
    three.resume(6)
    go(three, 6, 2)
    three.end([Status.done] * 3)
    table = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "metrics.parquet")
    assert sorted(set(table["iteration"].to_pylist())) == list(range(8))
