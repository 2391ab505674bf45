"""The command line: parse and print. What it does is in `operant.study_run`; every flag is a field of a class.

Flags of `operant train` come from the learner's own fields, their help from the docstrings below them. An OperantError
is printed as one line and ends with exit code 2; Ctrl-C ends with 130 and says how to go on.

>>> _value("1e-3"), _value("64"), _value('{ type = "Constant" }'), _value("fast")
(0.001, 64, {'type': 'Constant'}, 'fast')
"""

import dataclasses
import re
import sys
import tomllib
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg

from operant.errors import SEEDS, OperantError, SpecError, nearest

# JAX takes a second to import and nothing here needs it to print help, so the commands import what they use.

RunFolder = Annotated[Positional[Path], arg(metavar="RUN", help="A run's folder, such as runs/pendulum.")]


def run(
    study: Annotated[Positional[Path], arg(metavar="STUDY", help="A study file, such as examples/pendulum.toml.")],
    runs: Annotated[Path, arg(help="The folder that run folders are made in.")] = Path("runs"),
) -> int:
    """Learn what a study file asks for, audit the result and write a report."""
    from operant import study as studies
    from operant import study_run

    return study_run.run(studies.load(study), runs=runs)


def train(argv: Sequence[str]) -> int:
    """Train a learner on an environment's own reward, audit it and write a report."""
    asked = _parse_train(list(argv))
    from operant import study_run

    return study_run.run(asked, runs=Path("runs"))


def teach(argv: Sequence[str]) -> int:
    """Teach an agent by choosing between clips: opens a page on this machine, and trains while you answer."""
    asked, page = _parse_teach(list(argv))
    from operant import study_run

    return study_run.run(asked, runs=Path("runs"), page=page)


def imitate(argv: Sequence[str]) -> int:
    """Learn to do what demonstrations show, by cloning, from an expert, or by a reward for being like them."""
    asked = _parse_imitate(list(argv))
    from operant import study_run

    return study_run.run(asked, runs=Path("runs"))


def demos(
    action: Annotated[Positional[Literal["record", "import", "export", "stats"]],
                      arg(metavar="record|import|export|stats")],
    source: Annotated[Positional[str], arg(metavar="SOURCE", help="To record: a run's folder, a policy "
                      "(file.py:function, .onnx, an SB3 .zip), or metaworld:TASK. Else demonstrations: a Minari "
                      "folder, minari:NAME, a .npz file, or a .operant file.")],
    out: Annotated[Path | None, arg(help="Where they are written: a folder (Minari's format), NAME.npz or "
                                         "NAME.operant; by default demos/NAME.")] = None,
    env: Annotated[str | None, arg(help="The environment, where the source does not say.")] = None,
    episodes: Annotated[int, arg(help="Episodes to record.")] = 20,
    seed: Annotated[int, arg(help="The number that the episodes' randomness comes from.")] = 0,
    stochastic: Annotated[bool, arg(help="Let the policy act by chance, as in training.")] = False,
    trust: Annotated[bool, arg(help="Unpickle an SB3 .zip, which runs code that its author chose.")] = False,
) -> int:  # fmt: skip
    """Record demonstrations from a policy, bring them in, take them out, or say what is in them."""
    from operant import demonstrating

    return demonstrating.run(
        action, source, out, env=env, episodes=_positive(episodes, "--episodes"), seed=_seed(seed),
        stochastic=stochastic, trust=trust,
    )  # fmt: skip


def evaluate(
    run: RunFolder,
    episodes: Annotated[int, arg(help="Greedy episodes of each seed.")] = 100,
    seed: Annotated[int, arg(help="The number that the episodes' randomness comes from.")] = 0,
) -> int:
    """Evaluate a run's policies in fresh environments."""
    from operant import study_run

    return study_run.evaluate(run, episodes=_positive(episodes, "--episodes"), seed=_seed(seed))


def audit(
    subject: Annotated[
        Positional[str],
        arg(metavar="RUN|POLICY", help="A run's folder, or a policy: file.py:function, an .onnx file, an SB3 .zip."),
    ] = "",
    policy: Annotated[str, arg(help="The same policy, as a flag.")] = "",
    env: Annotated[str, arg(help="For a policy: the environment it acts in.")] = "",
    reward: Annotated[str, arg(help="What it was to maximise: file.py:function, a run, or a class.")] = "",
    true: Annotated[str, arg(help="What success is judged by, likewise.")] = "",
    base: Annotated[str, arg(help="The policy that the reward was judged good by; none: a random one.")] = "",
    dataset: Annotated[str, arg(help="What was learned from: a Minari folder, minari:NAME, .npz, .operant.")] = "",
    held_out: Annotated[str, arg(help="Data kept apart to test on, likewise.")] = "",
    audits: Annotated[tuple[str, ...], arg(help="Which audits; none: all whose needs are met.")] = (),
    episodes: Annotated[int, arg(help="Episodes of each seed; 0: as the study says, or 32.")] = 0,
    seed: Annotated[int, arg(help="The number that the audits' randomness comes from.")] = 0,
    trust: Annotated[bool, arg(help="Unpickle an SB3 .zip, which runs code that its author chose.")] = False,
    fail_on: Annotated[
        str, arg(metavar="VERDICT", help="Exit with 1 where a verdict is as grave: unknown, concern or fails.")
    ] = "",
    json: Annotated[bool, arg(help="As JSON.")] = False,
) -> int:
    """Audit a run, anyone's policy, or a dataset: does the behaviour match the intent, and where will it break."""
    from operant import auditing

    if episodes < 0:
        raise SpecError(f"--episodes: expected 0 or more; got {episodes}.")
    return auditing.audit(
        auditing.Asked(
            subject,
            policy,
            env,
            reward,
            true,
            base,
            dataset,
            held_out,
            audits,
            episodes,
            _seed(seed),
            trust,
            fail_on,
            json,
        )
    )


def compare_rewards(
    rewards: Annotated[
        Positional[tuple[str, ...]], arg(metavar="REWARD ...", help="Two or more: file.py:function, a run, a class.")
    ],
    env: Annotated[str, arg(help="The environment they are rewards of.")],
    distances: Annotated[tuple[str, ...], arg(help="Which distances; none: all.")] = (),
    episodes: Annotated[int, arg(help="Random episodes to judge, where there are no tables.")] = 64,
    discount: Annotated[float, arg(help="Discount, in [0, 1).")] = 0.99,
    seed: Annotated[int, arg(help="The number that all randomness comes from.")] = 0,
    picture: Annotated[str, arg(metavar="FILE.html", help="Also write a page with heat maps.")] = "",
    json: Annotated[bool, arg(help="As JSON.")] = False,
) -> int:
    """How far rewards are from each other as wishes: 0 where they order all policies alike, whatever their numbers."""
    from operant import comparing

    return comparing.compare(
        comparing.Asked(
            rewards, env, distances, _positive(episodes, "--episodes"), discount, _seed(seed), picture, json
        )
    )


def explain(
    subject: Annotated[Positional[str], arg(metavar="RUN|POLICY", help="A run's folder, or file.py:function.")],
    env: Annotated[str, arg(help="The environment it acts in; of a run, by default its own.")] = "",
    at: Annotated[int, arg(help="The step of a greedy episode that is explained.")] = 0,
    element: Annotated[int, arg(help="Which element of a continuous action.")] = 0,
    method: Annotated[
        str,
        arg(help="smooth-grad, gradients(-times-input), integrated-gradients, (c-)lime, kernel-shap or occlusion."),
    ] = "smooth-grad",
    seed: Annotated[int, arg(help="The number that episode and perturbations come from.")] = 0,
    json: Annotated[bool, arg(help="As JSON.")] = False,
) -> int:
    """Why did it do that? What each element of an observation has to do with the action."""
    from operant import explaining

    return explaining.show(explaining.Asked(subject, env, at, element, method, _seed(seed), json))


def reward_report(
    runs: Annotated[Positional[tuple[str, ...]], arg(metavar="RUN ...", help="Folders of runs, the oldest first.")],
    out: Annotated[str, arg(metavar="FILE.md", help="The document; what people wrote in it is kept.")] = "",
) -> int:
    """Write or renew a Reward Report: what is optimised, by which assumptions, and what changed from run to run."""
    from operant import reporting

    return reporting.renew(runs, out)


def export(
    run: RunFolder,
    seed: Annotated[int, arg(help="Which seed's policy.")] = 0,
    out: Annotated[Path, arg(help="The file to write.")] = Path("policy.onnx"),
) -> int:
    """Write a run's greedy policy as an ONNX file, which needs neither Operant nor JAX."""
    from operant.io import onnx
    from operant.loops import train as training

    print(onnx.export(training.load(run).policy(seed), out))
    return 0


def report(run: RunFolder) -> int:
    """Write a run's report again."""
    from operant.io import report as reports

    print(reports.write(run))
    return 0


def resume(
    run: RunFolder,
    host: Annotated[str, arg(help="Where people teach: the address their page is served at.")] = "127.0.0.1",
    port: Annotated[int, arg(help="Where people teach: its port; 0: any that is free.")] = 0,
) -> int:
    """Go on with a run that was stopped, to the result it would have had."""
    from operant import study_run
    from operant.teach import Page

    return study_run.resume(run, page=Page(host, port))


def labels(
    action: Annotated[Positional[Literal["export", "import", "stats"]], arg(metavar="export|import|stats")],
    run: RunFolder,
    folder: Annotated[Path, arg(help="Where answers are exported to, or imported from.")] = Path("labels"),
    labels: Annotated[str, arg(help="The store, where it is not labels.db in the run's folder.")] = "",
) -> int:
    """Export, import or count the answers that people gave to a run."""
    from operant import teach as teaching

    return teaching.labels(action, run, folder, labels)


def coach(argv: Sequence[str]) -> int:
    """Coach an agent: it acts on a page on this machine, and learns from your plus and minus meanwhile."""
    asked, page, manner = _parse_coach(list(argv))
    from operant import coaching

    return coaching.coach(asked, page, manner)


def record(
    env: Annotated[Positional[str], arg(metavar="ENV", help="An environment's id, such as CartPole-v1.")],
    demos: Annotated[Path | None, arg(help="Where episodes are kept; by default demos/ENV.")] = None,
    host: Annotated[str, arg(help="Where the page is served; others than this machine need the token that is then "
                             "shown.")] = "127.0.0.1",
    port: Annotated[int, arg(help="Its port; 0: any that is free.")] = 0,
) -> int:  # fmt: skip
    """Play an environment by keyboard, on a page on this machine, and keep what you showed as a Minari dataset."""
    from operant import study
    from operant import teach as teaching

    made = study.read_env(env, "ENV")
    return teaching.record(made, env, demos or Path("demos") / _folder_name(env), teaching.Page(host, port))


def methods(
    words: Annotated[Positional[tuple[str, ...]], arg(metavar="[WORDS]", help="Show what mentions all of these.")] = (),
) -> int:
    """List the methods: what each is, its paper, and the evidence for it."""
    from operant import study_run

    return study_run.methods(words)


def reproduce(
    method: Annotated[Positional[str], arg(metavar="METHOD", help="A method's name, such as ppo.")],
    full: Annotated[bool, arg(help="The full budget, not the quick one.")] = False,
) -> int:
    """Run a method's own claim against its baseline and say whether it holds here."""
    from operant import study_run

    return study_run.reproduce(method, full=full)


def doctor(json: Annotated[bool, arg(help="As JSON.")] = False) -> int:
    """Show versions, devices and extras; what is missing, and how to get it."""
    from operant import doctor as doctors

    doctors.show(doctors.examine(), as_json=json)
    return 0


COMMANDS = {
    f.__name__.replace("_", "-"): f
    for f in (
        run,
        train,
        teach,
        coach,
        imitate,
        demos,
        record,
        evaluate,
        audit,
        compare_rewards,
        explain,
        export,
        report,
        reward_report,
        resume,
        labels,
        methods,
        reproduce,
        doctor,
    )
}
FROM_FIELDS = {f.__name__: f for f in (train, teach, coach, imitate)}
"""Commands whose flags are the fields of the class that one of them names."""
ABOUT = "Teach agents behaviour from what you mean, and check that they learned it."


def main(argv: Sequence[str] | None = None) -> int:
    """The command `operant`; returns its exit code: 0 done, 1 a seed or claim failed, 2 refused, 130 stopped."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(argv)
    except OperantError as error:
        complain(str(error))
        return 2
    except BrokenPipeError:  # `operant methods | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt as stop:
        folder = getattr(stop, "folder", None)
        complain(f"go on with: operant resume {folder}" if folder else "nothing was kept.", "stopped")
        return 130


def complain(text: str, word: str = "error") -> None:
    """`error: …` on the standard error stream; red where that is a terminal."""
    import rich.console
    import rich.text

    message = rich.text.Text.assemble((f"{word}: ", "bold red" if word == "error" else "bold yellow"), text)
    rich.console.Console(stderr=True, soft_wrap=True, highlight=False).print(message)


def _dispatch(argv: list[str]) -> int:
    if argv[:1] in (["--version"], ["-V"]):
        import operant

        print(f"operant {operant.__version__}")
        return 0
    if argv and argv[0] in FROM_FIELDS:
        return FROM_FIELDS[argv[0]](argv[1:])
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise SpecError(f"operant has no command {argv[0]!r}; {nearest(argv[0], COMMANDS)}")
    listed = COMMANDS | {
        "train": _train_listed, "teach": _teach_listed, "coach": _coach_listed, "imitate": _imitate_listed
    }  # fmt: skip
    return tyro.extras.subcommand_cli_from_dict(listed, prog="operant", description=ABOUT, args=argv or ["--help"])


def _train_listed() -> int:
    """Train a learner on an environment's own reward: operant train ENV --learner ppo --steps 100000."""
    return 0


def _teach_listed() -> int:
    """Teach an agent by choosing between clips, on a page on this machine: operant teach ENV."""
    return 0


def _coach_listed() -> int:
    """Coach an agent by plus and minus while it acts, on a page on this machine: operant coach ENV."""
    return 0


def _imitate_listed() -> int:
    """Learn to do what demonstrations show: operant imitate ENV --demos demos/walk --method bc."""
    return 0


# --- train: flags from the learner's fields -------------------------------------------------------------------------


def _parse_train(argv: list[str]) -> Any:
    """The study that the flags of `operant train` describe. Two steps: `--learner` first, then its fields."""
    from operant import config, study
    from operant.core import AbstractAudit, AbstractLearner, Intent
    from operant.rewards.task import Task

    cls = config.find(_chosen(argv), AbstractLearner, "--learner", any_case=True)
    flags, plain_of = _flags(cls)
    fields = ("fields", Annotated[flags, arg(name="learner")], dataclasses.field(default_factory=flags))
    given = tyro.cli(
        dataclasses.make_dataclass("Train", [*_TRAIN, fields]),
        prog="operant train",
        description=f"{train.__doc__}\n\nThe flags --learner.… are the fields of {cls.__name__}.",
        args=argv,
    )
    learner = config.from_plain(plain_of(given.fields), cls, "--learner")
    env = study.read_env(given.env, "ENV")
    chosen = (study.read_table(a, "--audits") for a in given.audits)
    audits = tuple(config.from_plain(a, AbstractAudit, "--audits", any_case=True) for a in chosen)
    name = given.name or _folder_name(f"{given.env}-{cls.__name__}")
    counts = {key: config.read(_value(getattr(given, key)), int, f"--{key}") for key in _COUNTS}
    return study.Study(
        name=name,
        env=env,
        intent=Intent(Task(), statement=given.statement),
        learner=learner,
        audits=audits or study.default_audits(truth=False),
        **counts,
    )


# flags that `train` and `teach` share
_NUM_ENVS = ("num_envs", Annotated[str, arg(metavar="INT", help="Environments stepped side by side.")], "16")
_SEED = ("seed", Annotated[str, arg(metavar="INT", help="The number that all randomness comes from.")], "0")
_NAME = ("name", Annotated[str, arg(metavar="TEXT", help="What the run's folder is called.")], "")

_COUNTS = ("steps", "num_envs", "seeds", "seed", "eval_episodes")
_TRAIN = [
    ("env", Annotated[Positional[str], arg(metavar="ENV", help="An environment's id, such as Pendulum-v1.")]),
    ("learner", Annotated[str, arg(metavar="NAME", help="The learner; its fields are flags below.")], "ppo"),
    ("steps", Annotated[str, arg(metavar="INT", help="Environment steps of each seed.")], "100000"),
    ("seeds", Annotated[str, arg(metavar="INT", help="Independent repetitions.")], "5"),
    _NUM_ENVS,
    _SEED,
    ("eval_episodes", Annotated[str, arg(metavar="INT", help="Greedy episodes of each seed at the end.")], "20"),
    (
        "audits",
        Annotated[tuple[str, ...], arg(metavar="[NAME ...]", help="Which audits; none: those that are cheap.")],
        (),
    ),
    _NAME,
    ("statement", Annotated[str, arg(metavar="TEXT", help="What is meant, in words.")], ""),
]


def _parse_teach(argv: list[str]) -> Any:
    """The study that the flags of `operant teach` describe, and where the page is served."""
    from operant import config, study
    from operant.core import AbstractLearner, Intent
    from operant.loops.asking import Questions
    from operant.rewards.preferences.bradley_terry import BradleyTerry
    from operant.rewards.task import Task
    from operant.teach import Page
    from operant.teachers import AbstractTeacher, Person

    classes = {
        "learner": config.find(_chosen(argv), AbstractLearner, "--learner", any_case=True),
        "teacher": config.find(_chosen(argv, "--teacher", "person"), AbstractTeacher, "--teacher", any_case=True),
        "reward": BradleyTerry,
        "questions": Questions,
    }
    fields, made_of = _fields_of(classes)
    given = tyro.cli(
        dataclasses.make_dataclass("Teach", [*_TEACH, *fields]),
        prog="operant teach",
        description=f"{teach.__doc__}\n\nFlags with a dot are fields of the learner, the teacher, the reward that is "
        "learned, and the questions.",
        args=argv,
    )
    made = made_of(given)
    if given.labels:
        if not isinstance(made["teacher"], Person):
            raise SpecError(f"--labels: only people answer through a store; the teacher is {given.teacher}.")
        labels = given.labels if "://" in given.labels else str(Path(given.labels).expanduser().resolve())
        made["teacher"] = dataclasses.replace(made["teacher"], labels=labels)
    counts = {key: config.read(_value(getattr(given, key)), int, f"--{key}") for key in ("steps", "num_envs", "seed")}
    people = isinstance(made["teacher"], Person)
    asked = study.Study(
        name=given.name or _folder_name(f"teach-{given.env}"),
        env=study.read_env(given.env, "ENV"),
        intent=Intent(made["reward"], statement=given.statement, truth=None if people else Task()),
        learner=made["learner"],
        teacher=made["teacher"],
        questions=made["questions"],
        audits=study.default_audits(truth=not people),
        seeds=1 if people else 4,
        **counts,
    )
    return asked, Page(given.host, given.port)


_TEACH = [
    ("env", Annotated[Positional[str], arg(metavar="ENV", help="An environment's id, such as Hopper-v5.")]),
    ("teacher", Annotated[str, arg(metavar="NAME", help="Who answers: person, oracle or stochastic.")], "person"),
    ("learner", Annotated[str, arg(metavar="NAME", help="The learner.")], "ppo"),
    ("steps", Annotated[str, arg(metavar="INT", help="Environment steps.")], "300000"),
    _NUM_ENVS,
    _SEED,
    _NAME,
    ("statement", Annotated[str, arg(metavar="TEXT", help="What is meant, in words; the page shows it.")], ""),
    ("labels", Annotated[str, arg(metavar="URL", help="Where answers are kept: a file, or postgresql://….")], ""),
    ("host", Annotated[str, arg(metavar="TEXT", help="Where the page is served; others than this machine need the "
                                "token that is then shown.")], "127.0.0.1"),
    ("port", Annotated[int, arg(metavar="INT", help="Its port; 0: any that is free.")], 0),
]  # fmt: skip


def _parse_coach(argv: list[str]) -> Any:
    """What `operant coach` is to do: a new run or the folder of one, where its page is, and how it is shown."""
    from operant import coaching, config, study
    from operant.core import AbstractLearner
    from operant.teach import Page

    cls = config.find(_chosen(argv, usual="coach"), AbstractLearner, "--learner", any_case=True)
    flags, plain_of = _flags(cls)
    fields = ("fields", Annotated[flags, arg(name="learner")], dataclasses.field(default_factory=flags))
    given = tyro.cli(
        dataclasses.make_dataclass("Coach", [*_COACH, fields]),
        prog="operant coach",
        description=f"{coach.__doc__}\n\nThe flags --learner.… are the fields of {cls.__name__}.",
        args=argv,
    )
    delay = (
        config.read(_value(given.delay[0]), float, "--delay[0]"),
        config.read(_value(given.delay[1]), float, "--delay[1]"),
    )
    manner = coaching.Manner(config.read(_value(given.pace), float, "--pace"), delay)
    page = Page(given.host, given.port)
    if (Path(given.env) / "checkpoint.operant").exists():
        return Path(given.env), page, manner
    counts = {key: config.read(_value(getattr(given, key)), int, f"--{key}") for key in ("steps", "seed", "listen")}
    listen = _positive(counts.pop("listen"), "--listen")
    plain = {"rollout": listen} | plain_of(given.fields)
    asked = coaching.Coaching(
        name=given.name or _folder_name(f"coach-{given.env}"),
        env=study.read_env(given.env, "ENV"),
        learner=config.from_plain(plain, cls, "--learner"),
        statement=given.statement,
        **counts,
    )
    return asked, page, manner


_COACH = [
    ("env", Annotated[Positional[str], arg(metavar="ENV|RUN", help="An environment's id, such as GridWorld; or the "
                                           "folder of a run to go on with.")]),
    ("learner", Annotated[str, arg(metavar="NAME", help="The learner; its fields are flags below.")], "coach"),
    ("steps", Annotated[str, arg(metavar="INT", help="Environment steps.")], "2000"),
    ("pace", Annotated[str, arg(metavar="FLOAT", help="Steps a second; the page can change it.")], "5"),
    ("listen", Annotated[str, arg(metavar="INT", help="Steps after which it waits for what you say, and learns: its "
                                  "rollout.")], "5"),
    ("delay", Annotated[tuple[str, str], arg(metavar="FLOAT FLOAT", help="Seconds between what you see and what you "
                                             "say of it, from and to.")], ("0.2", "0.8")),
    _SEED,
    _NAME,
    ("statement", Annotated[str, arg(metavar="TEXT", help="What is meant, in words; the page shows it.")], ""),
    ("host", Annotated[str, arg(metavar="TEXT", help="Where the page is served; others than this machine need the "
                                "token that is then shown.")], "127.0.0.1"),
    ("port", Annotated[int, arg(metavar="INT", help="Its port; 0: any that is free.")], 0),
]  # fmt: skip


def _parse_imitate(argv: list[str]) -> Any:
    """The study that the flags of `operant imitate` describe. The method is a learner, or a reward for being alike."""
    from operant import config, study
    from operant.core import AbstractLearner, Intent
    from operant.loops.fit import learns_from_data
    from operant.rewards.imitation import AbstractImitation
    from operant.rewards.imitation.demonstrations import Demonstrations
    from operant.rewards.task import Task

    method = config.find(
        _chosen(argv, "--method", "bc"), (AbstractLearner, AbstractImitation), "--method", any_case=True
    )
    pays = issubclass(method, AbstractImitation)
    classes = {"method": method}
    if pays:
        classes["learner"] = config.find(_chosen(argv), AbstractLearner, "--learner", any_case=True)
    fields, made_of = _fields_of(classes)
    given = tyro.cli(
        dataclasses.make_dataclass("Imitate", [*_IMITATE, *fields]),
        prog="operant imitate",
        description=f"{imitate.__doc__}\n\nThe flags --method.… are the fields of {method.__name__}.",
        args=argv,
    )
    made = made_of(given)
    learner = made["learner"] if pays else made["method"]
    if not given.demos and (pays or learns_from_data(learner)):
        raise SpecError(
            f"--demos: expected where the demonstrations are, which {method.__name__} learns from: a Minari folder, "
            "minari:NAME, a .npz or a .operant file. `operant record ENV` records your own, `operant demos record RUN` "
            "those of a run."
        )
    counts = {key: config.read(_value(getattr(given, key)), int, f"--{key}") for key in _COUNTS}
    episodes = None if given.episodes == "none" else config.read(_value(given.episodes), int, "--episodes")
    paid = pays or "env" in learner.card.needs  # else no reward is stated that could differ from the true one
    shown = Demonstrations(given.demos, made["method"] if pays else None, episodes) if given.demos else Task()
    return study.Study(
        name=given.name or _folder_name(f"{given.env}-{method.__name__}"),
        env=study.read_env(given.env, "ENV"),
        intent=Intent(shown, statement=given.statement, truth=Task() if given.demos else None),
        learner=learner,
        audits=study.default_audits(truth=paid and bool(given.demos)),
        **counts,
    )


_IMITATE = [
    ("env", Annotated[Positional[str], arg(metavar="ENV", help="An environment's id, such as Hopper-v5.")]),
    ("demos", Annotated[str, arg(metavar="PATH|minari:NAME", help="Where the demonstrations are.")], ""),
    ("method", Annotated[str, arg(metavar="NAME", help="How they are learned from: bc, dagger, gail, …; its fields are "
                                  "flags below.")], "bc"),
    ("learner", Annotated[str, arg(metavar="NAME", help="For a method that pays for being alike: who learns.")], "ppo"),
    ("episodes", Annotated[str, arg(metavar="INT", help="Use the first so many; none: all.")], "none"),
    ("steps", Annotated[str, arg(metavar="INT", help="Updates, or environment steps where it acts, of each seed.")],
     "20000"),
    ("seeds", Annotated[str, arg(metavar="INT", help="Independent repetitions.")], "5"),
    _NUM_ENVS,
    _SEED,
    ("eval_episodes", Annotated[str, arg(metavar="INT", help="Greedy episodes of each seed at the end.")], "20"),
    _NAME,
    ("statement", Annotated[str, arg(metavar="TEXT", help="What is meant, in words.")], ""),
]  # fmt: skip


def _folder_name(text: str) -> str:
    """
    >>> _folder_name("ALE/Pong-v5-PPO"), _folder_name('{ type = "CartPole", max_steps = 9 }-GAIL')
    ('ale-pong-v5-ppo', 'type-cartpole-max_steps-9-gail')
    """
    return re.sub(r"-+", "-", re.sub(r"[^\w.-]", "-", text.lower())).strip("-")


def _chosen(argv: list[str], flag: str = "--learner", usual: str = "ppo") -> str:
    """What a flag says."""
    for word, after in zip(argv, [*argv[1:], ""], strict=True):
        if word == flag:
            return after
        if word.startswith(f"{flag}="):
            return word.removeprefix(f"{flag}=")
    return usual


def _fields_of(classes: dict[str, type]) -> tuple[list[Any], Any]:
    """Flags `--name.field` for each of these classes; and the function from what was given to their instances."""
    from operant import config

    flags = {name: _flags(cls) for name, cls in classes.items()}
    fields = [
        (f"{name}_fields", Annotated[kind, arg(name=name)], dataclasses.field(default_factory=kind))
        for name, (kind, _) in flags.items()
    ]

    def made_of(given: Any) -> dict[str, Any]:
        return {
            name: config.from_plain(flags[name][1](getattr(given, f"{name}_fields")), cls, f"--{name}")
            for name, cls in classes.items()
        }

    return fields, made_of


def _flags(cls: type) -> tuple[type, Any]:
    """A dataclass of text, a flag a field of `cls`; and the function from its instances to plain fields."""
    from operant import config

    declared, usual = [], {}
    for field in config.fields(cls):
        hint, value = config.hints(cls)[field.name], config.default(field)
        kind = str
        if value is dataclasses.MISSING:
            text: Any = ""
        elif isinstance(value, bool):
            kind, text = bool, value
        elif isinstance(value, tuple):
            kind, text = tuple[str, ...], tuple(_text(x) for x in config.scalar(value))
        else:
            text = _text(config.scalar(value))
        said = arg(help=config.docs(cls).get(field.name, ""), metavar=None if kind is bool else _metavar(hint))
        declared.append((field.name, Annotated[kind, said], text))
        usual[field.name] = text

    def plain_of(given: Any) -> dict[str, Any]:
        changed = {name: getattr(given, name) for name, text in usual.items() if getattr(given, name) != text}
        hints = config.hints(cls)
        return {name: _plain(value, hints[name]) for name, value in changed.items()}

    return dataclasses.make_dataclass(cls.__name__, declared), plain_of


def _text(plain: Any) -> str:
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, dict):
        inside = ", ".join(f"{key} = {_text(x) if not isinstance(x, str) else repr(x)}" for key, x in plain.items())
        return f"{{ {inside} }}"
    return str(plain)


def _plain(given: Any, hint: Any) -> Any:
    if isinstance(given, tuple):
        return [_value(x) for x in given]
    wants_text = hint is str or (typing.get_origin(hint) is Literal and isinstance(typing.get_args(hint)[0], str))
    return given if wants_text or isinstance(given, bool) else _value(given)


def _value(text: str) -> Any:
    """What a flag's text says: a number, a TOML value, or itself."""
    for read in (int, float, lambda t: tomllib.loads(f"x = {t}")["x"]):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _metavar(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "{" + ",".join(map(str, typing.get_args(hint))) + "}"
    if typing.get_origin(hint) is tuple:
        return f"[{_metavar(typing.get_args(hint)[0])} ...]"
    inside = [x for x in typing.get_args(hint) if x is not type(None)] or [hint]
    names = {float: "FLOAT", int: "INT", str: "TEXT", bool: "BOOL"}
    return "|".join(dict.fromkeys(names.get(x, "TABLE") for x in inside))


def _seed(value: int) -> int:
    if not 0 <= value < SEEDS:
        raise SpecError(f"--seed: expected a whole number in 0 … {SEEDS - 1}; got {value}.")
    return value


def _positive(value: int, flag: str) -> int:
    if value < 1:
        raise SpecError(f"{flag}: expected a whole number ≥ 1; got {value}.")
    return value


if __name__ == "__main__":
    sys.exit(main())
