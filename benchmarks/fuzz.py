"""Everything that people give, given wrong, with a fixed seed: study files, options, stores, calls and pictures.

Each is given to the command line's ``main`` or to a public function, in this process. Right is an answer in one
printable line of at most 300 characters and exit code 0 or 2, within seconds, after which nothing is left behind; a
traceback or what the command line calls a defect is wrong. Prints the table of ``benchmarks/results/fuzz.md``, and what
was wrong.

    python benchmarks/fuzz.py            # all
    python benchmarks/fuzz.py 0.02       # a share of it, as the tests take
"""

import io
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from fuzz_answer import Answer
from PIL import Image

SEED = 21
LONGEST = 300
SECONDS = 30
"""Of the processor; a tenth of what may pass by the clock, on a machine that does other work."""
STORED = Path(__file__).parents[1] / "tests" / "fixtures" / "studies_0_1.tar.xz"
COUNTS = {"study files": 2000, "option values": 1000, "damaged stores": 500}
OTHERS = {"library calls": ("fuzz_calls", 1000), "odd pictures": ("fuzz_pictures", 300)}
"""Kinds in modules of their own, each with ``answers(count, seed, folder) -> Iterable[Answer]``."""


class TooLongError(BaseException):
    """An answer took too long."""


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise :class:`TooLongError` in what takes longer."""

    def stop(*_: object) -> None:
        raise TooLongError

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, 10 * seconds)}
    before = {name: signal.signal(name, stop) for name in timers}
    for timer, limit in timers.values():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        for name, handler in before.items():
            signal.signal(name, handler)


def asked(kind: str, given: str, arguments: Sequence[str], folder: Path, leaves: Sequence[str] | None = ()) -> Answer:
    """The command line's answer to ``arguments``, given in ``folder``.

    Args:
        kind: see :class:`fuzz_answer.Answer`.
        given: see there.
        arguments: of the command.
        folder: in which it runs.
        leaves: endings of the names of files that it may leave there; None for any.
    """
    from autorf.cli import main

    before = listed(folder)
    out, err, code = io.StringIO(), io.StringIO(), -1
    here, arguments_before = Path.cwd(), sys.argv
    sys.argv = ["autorf", *arguments]
    os.chdir(folder)
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(), at_most(SECONDS):
            warnings.simplefilter("ignore")
            main()
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    except TooLongError:
        err.write(f"no answer within {SECONDS} s")
    except BaseException as error:
        err.write(f"{type(error).__name__} raised: {error}")
    finally:
        os.chdir(here)
        sys.argv = arguments_before
    new = sorted(listed(folder) - before)
    left = [] if leaves is None else [name for name in new if not name.endswith(tuple(leaves))]
    lines = err.getvalue().strip().splitlines() or out.getvalue().strip().splitlines() or [""]
    return Answer(kind, given, lines[-1], code, _problem(code, err.getvalue(), left))


def listed(folder: Path) -> set[str]:
    """Every path under a folder, but for what SQLite leaves while a database is open."""
    paths = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return {path for path in paths if not path.endswith(("-wal", "-shm", "-journal", "study.lock"))}


def _problem(code: int, err: str, left: Sequence[str]) -> str:
    lines = err.strip().splitlines()
    longest = max(map(len, lines), default=0)
    if code not in (0, 2):
        return f"exit code {code}"
    if "defect" in err or "Traceback" in err:
        return "a defect"
    if longest > LONGEST:
        return f"{longest} characters"
    refusals = [line for line in lines if line.startswith("autorf: ") and "damaged and left out" not in line]
    if code == 2 and len(refusals) != 1:
        return "not one line"
    if not "".join(lines).isprintable():
        return "control characters"
    return f"left {', '.join(left)[:80]}" if left else ""


# Study files

STUDY: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "folder", "root": "data", "classes": ["a", "b"], "image_size": [32, 32]},
    "model": {"name": "largefov:test_byobnet", "stage": 1, "channels": [8, 8], "head_norm": True},
    "search_space": [{"method": "dilation", "rate": [1, 2]}],
    "training": {"epochs": 1, "batch_size": 2, "lr": 3.0e-3, "seeds": [0], "schedule": {"kind": "cosine"}},
    "search": {"sampler": "grid", "objectives": ["miou"], "controls": False},
    "executor": {"kind": "local", "workers": 1},
    "storage": {"lease_seconds": 120.0},
    "tracking": {"keep": 1},
    "evaluation": {},
}

ODD = (
    "''", "null", "~", "[]", "{}", "true", "no", "0", "-1", "1.5", "1e308", "-.inf", ".nan", "2020-01-01",
    "2001-99-99", "12:30:45", "1" * 5000, "0x" + "f" * 5000, "99999999999999999999", "9223372036854775807", "1_000",
    "!!binary aGk=", "!!python/object:os.system x", "!!set {a}", "!!float x", "!!int many", "!mine {a: 1}", "&a [*a]",
    "*nothing", "[1, 2", "{a: b", '"', "'", "@", "%", "`", "a: b: c", "- a", "|\n  text\n  more", ">\n  a", "a\tb",
    "[" * 300 + "]" * 300, "{a: " * 300 + "1" + "}" * 300, "[" * 300, "x" * 3000, "x" * 300_000, '"\\x1b[31mred"',
    '"a\\nb"', '"\\0"', '"\\ud800"', "'../x'", "/dev/null", "/", ".", "..", "mlflow.db", "cache", "日本語", "é́" * 40,
    "[1, 1]", "[1, 1.0, true]", "[[1]]", "[{a: 1}]", "{low: 1, high: 1e308, step: 1}", "{low: 2, high: 1}",
    "{low: .nan, high: 1}", "{a: 1, a: 2}", "{1: 2}", "{[1]: 2}", "{? : 1}", "? a", "<<: 1", "{<<: {a: 1}}", "=", "<<",
    "[" + "a, " * 3000 + "a]", "{" + "".join(f"k{i}: 1, " for i in range(3000)) + "}", "\ufeff1", "#", "&", "!", "-",
    "1000000000", "[100000, 100000]", "python:os:system", "smp:Unet:nothing", "largefov:" + "x" * 400, "timm:", ":",
    "[[a], [b], " + "[a, b], " * 400 + "]", "ray", "tpe", "poly", "[miou, miou]", "f1_nothing", "miou > 0.5",
)  # fmt: skip

ALIASES = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{above}: &{above} [{','.join([f'*{below}'] * 10)}]\n" for below, above in zip("abcdefg", "bcdefgh", strict=True)
)


def study_texts(draw: random.Random) -> Iterator[tuple[str, str]]:
    """What is odd about a study file, and its text."""
    whole = yaml.safe_dump(STUDY, sort_keys=False)
    keys = [*STUDY, *(f"{part}.{name}" for part, inner in STUDY.items() if isinstance(inner, dict) for name in inner)]
    damages = (_odd_value,) * 5 + (_axis,) * 3 + (_odd_key, _cut, _noise, _twice, _aliased)
    while True:
        yield draw.choice(damages)(draw, whole, keys)


def _odd_value(draw: random.Random, whole: str, keys: Sequence[str]) -> tuple[str, str]:
    key, value = draw.choice(keys), draw.choice(ODD)
    changed = json.loads(json.dumps(STUDY))
    *above, name = key.split(".")
    inner = changed[above[0]] if above else changed
    inner[name] = "VALUE"
    text = yaml.safe_dump(changed, sort_keys=False, default_flow_style=bool(above) and draw.random() < 0.5)
    return f"{key} = {value[:40]}", text.replace("VALUE", value, 1)


def _odd_key(draw: random.Random, whole: str, keys: Sequence[str]) -> tuple[str, str]:
    name = draw.choice(
        ("x" * 5000, "", "a b", "1", "[a]", "tru", "null", '"\\e"', "training", "日本", "a.b", "_", "-", "!")
    )
    value = draw.choice(ODD)
    return f"key {name[:20]}: {value[:20]}", f"{whole}{name}: {value}\n"


def _cut(draw: random.Random, whole: str, keys: Sequence[str]) -> tuple[str, str]:
    at = draw.randrange(len(whole))
    return f"cut at {at}", whole[:at]


def _noise(draw: random.Random, whole: str, keys: Sequence[str]) -> tuple[str, str]:
    signs = list(whole)
    for _ in range(draw.randint(1, 6)):
        signs[draw.randrange(len(signs))] = draw.choice("\0\x07\x1b\u2028\ud800 \t{}[]:,#&*!|>'\"%@`-?0aZé\n")
    return "noise", "".join(signs)


def _twice(draw: random.Random, whole: str, keys: Sequence[str]) -> tuple[str, str]:
    part = draw.choice(list(STUDY))
    again = {part: STUDY[part]} if draw.random() < 0.5 else {part: None}
    return f"{part} twice", whole + yaml.safe_dump(again)


def _aliased(draw: random.Random, whole: str, keys: Sequence[str]) -> tuple[str, str]:
    part = draw.choice(list(STUDY))
    return f"{part} of aliases", ALIASES + whole.replace(f"{part}:", f"{part}: *h\nrest_{part}:", 1)


def _axis(draw: random.Random, whole: str, keys: Sequence[str]) -> tuple[str, str]:
    key = draw.choice(("method", "rate", "factor", "targets", "nothing", *keys))
    value = draw.choice(ODD)
    space = f"  - {{method: {draw.choice(('dilation', 'inflation', 'pixel_adaptive'))}, {key}: VALUE}}\n"
    before, _, after = whole.partition("search_space:\n")
    rest = after.partition("training:\n")[2]
    return f"axis {key} = {value[:40]}", f"{before}search_space:\n{space}training:\n{rest}".replace("VALUE", value, 1)


def study_files(count: int, seed: int, folder: Path) -> Iterator[Answer]:
    """Study files, each given to ``search --dry-run``."""
    make_pictures(folder / "data")
    texts = study_texts(random.Random(seed))
    for _ in range(count):
        given, text = next(texts)
        (folder / "tiny.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        yield asked("study files", given, ["search", "tiny.yaml", "--dry-run"], folder)


def make_pictures(root: Path) -> None:
    """Four images and masks of two classes, and as many for validation."""
    mask = np.zeros((32, 32), np.uint8)
    mask[4:16, 4:16] = 1
    for split in ("train", "val"):
        for name, picture in (("images", np.dstack([mask * 99] * 3)), ("masks", mask)):
            (root / split / name).mkdir(parents=True, exist_ok=True)
            for index in range(4):
                Image.fromarray(picture).save(root / split / name / f"{index}.png")


# Options

VALUES = (
    "", " ", "0", "-1", "1", "1.5", "1e308", "nan", "inf", "9" * 5000, "99999999999999999999", "many", "x" * 4000,
    "\x1b[31m", "a\nb", "日本", "../x", "/", "/dev/null", "/dev/full", "/proc/1/mem", "mlflow.db", "[", "{", "a=b",
    "=",
    "a.b=1", "." * 50, "0x0", "512x", "1000000x1000000", "0,0", "0,1,", "1,1", "json", "table", "onnx", "~", "\udc80",
    "training.epochs=0", "model.paths=[[a]]", "a" * 300 + "=1", ".".join("a" * 3000) + "=1", "timm:",
    "python:os:getcwd",
    "timm:nothing", "smp:Unet", "hf:x/y", "paper:none", "torchvision:x", "python:./none.py:make", "dilation rate=0",
    "{method: [dilation]}", "search_space=[]", "data.root=/dev", "name=cache", "name=mlflow.db",
    "model.name=timm:resnet18",
)  # fmt: skip

MODEL = "timm:test_byobnet"
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "search": (("tiny.yaml", "--dry-run"), ("--root", "--executor", "--workers", "--set", "STUDY")),
    "compare": (("stored",), ("--root", "--margin", "--format", "STUDY")),
    "report": (("stored",), ("--root", "--output", "STUDY")),
    "retrain": (("stored", "--trial", "nothing"), ("--root", "--trial", "--seeds", "--epochs", "STUDY")),
    "export": (("stored", "--trial", "nothing"), ("--root", "--trial", "--format", "--output", "STUDY")),
    "inspect": (
        (MODEL, "--image-size", "32"),
        ("--image-size", "--set", "--per-class", "--images", "--figure", "STUDY"),
    ),
    "suggest": ((MODEL, "--image-size", "32"), ("--image-size", "--object-size", "--rnorm", "--set", "STUDY")),
    "bench": (
        (MODEL, "--image-size", "32", "--repeats", "1"),
        ("--device", "--threads", "--repeats", "--set", "STUDY"),
    ),
}


def option_values(count: int, seed: int, folder: Path) -> Iterator[Answer]:
    """Values of options and arguments of every command."""
    draw = random.Random(seed)
    make_pictures(folder / "data")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    unpack(folder)
    for _ in range(count):
        command = draw.choice(list(COMMANDS))
        arguments, options = COMMANDS[command]
        option, value = draw.choice(options), draw.choice(VALUES)
        given = (value, *arguments[1:]) if option == "STUDY" else (*arguments, f"{option}={value}")
        # A trial's key may begin with a value: it is retrained then, as asked.
        leaves = None if option == "--output" or command == "retrain" else (".html",)
        yield asked("option values", f"{command} {option} {value[:40]!r}", [command, *given], folder, leaves)


def unpack(folder: Path) -> None:
    """The studies that the tests keep, under ``runs``."""
    with tarfile.open(STORED) as archive:
        archive.extractall(folder, filter="data")
    inside = next(path.parent.parent for path in folder.rglob("study.db"))
    if inside.name != "runs":
        shutil.rmtree(folder / "runs", ignore_errors=True)
        shutil.move(inside, folder / "runs") if inside != folder else _gathered(folder)


def _gathered(folder: Path) -> None:
    (folder / "runs").mkdir()
    for path in [path.parent for path in folder.glob("*/study.db")]:
        shutil.move(path, folder / "runs" / path.name)


# Stores

JUNK = (
    "{", "null", '"x"', "[]", "{}", "0", "-1", "1e999", "NaN", "Infinity", '{"epoch": "x"}', "true", '[["a"]]',
    '{"miou": {"a": 1}}', "9" * 400, '"' + "x" * 5000 + '"', '{"method": "nothing"}',
    '{"method": "dilation", "rate": -1}',
    '{"format": 99}', "99", "\x00", "", '{"dilation": null}', '"\\ud800"', '{"a": NaN}', "[null]",
)  # fmt: skip


def damaged_stores(count: int, seed: int, folder: Path) -> Iterator[Answer]:
    """Copies of a finished study, each damaged in one way, then compared, reported or resumed."""
    draw = random.Random(seed)
    unpack(folder)
    good = folder / "good"
    (folder / "runs").rename(good)
    damages: tuple[Callable[[random.Random, Path], str], ...] = (
        _bytes, _bytes, _row, _row, _row, _row, _study_row, _study_row, _table, _score, _evidence, _pointer, _version,
        _gone,
    )  # fmt: skip
    commands = (
        ("compare", "stored"), ("compare", "stored", "--format", "json"), ("compare", "stored", "--per-class"),
        ("report", "stored"), ("compare", "stored", "--per-size"), ("export", "stored", "--trial", "0"),
        ("studies",), ("retrain", "stored", "--trial", "zz"),
    )  # fmt: skip
    for _ in range(count):
        shutil.rmtree(folder / "runs", ignore_errors=True)
        shutil.copytree(good, folder / "runs")
        damage, command = draw.choice(damages), draw.choice(commands)
        given = f"{' '.join(command)}: {damage(draw, folder / 'runs' / 'stored')}"
        yield asked("damaged stores", given, command, folder, (".html", ".onnx", "study.db"))


def _bytes(draw: random.Random, study: Path) -> str:
    path = study / "study.db"
    content = bytearray(path.read_bytes())
    at, length = draw.randrange(len(content)), draw.choice((1, 16, 100, 4096, 50_000))
    kind = draw.choice(("cut", "zeroed", "overwritten", "emptied", "grown"))
    if kind == "cut":
        del content[at:]
    elif kind == "emptied":
        content.clear()
    elif kind == "grown":
        content += draw.randbytes(length)
    else:
        new = bytes(length) if kind == "zeroed" else draw.randbytes(length)
        content[at : at + length] = new[: len(content) - at]
    path.write_bytes(content)
    return f"study.db {kind} at {at}, {length}"


def _changed(study: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(study / "study.db")) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute(statement, values)
        database.commit()


def _keys(study: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(study / "study.db")) as database:
        return [name for (name,) in database.execute(f"SELECT DISTINCT key FROM {table} ORDER BY key")]


def _row(draw: random.Random, study: Path) -> str:
    key, value = draw.choice(_keys(study, "trial_user_attributes")), draw.choice(JUNK)
    only = f" AND trial_id = {draw.randint(1, 4)}" if draw.random() < 0.7 else ""
    _changed(study, f"UPDATE trial_user_attributes SET value_json = ? WHERE key = ?{only}", value, key)
    return f"{key} = {value[:30]}{only}"


def _study_row(draw: random.Random, study: Path) -> str:
    key, value = draw.choice(_keys(study, "study_user_attributes")), draw.choice(JUNK)
    _changed(study, "UPDATE study_user_attributes SET value_json = ? WHERE key = ?", value, key)
    return f"study's {key} = {value[:30]}"


def _table(draw: random.Random, study: Path) -> str:
    with closing(sqlite3.connect(study / "study.db")) as database:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        tables = [name for (name,) in database.execute(query) if not name.startswith("sqlite")]
    table = draw.choice(tables)
    statement = draw.choice((f"DROP TABLE {table}", f"DELETE FROM {table}", f"ALTER TABLE {table} RENAME TO other"))
    _changed(study, statement)
    return statement


def _score(draw: random.Random, study: Path) -> str:
    column, value = draw.choice(
        (("value", "nan"), ("value", None), ("value_type", "NOTHING"), ("value", 1e308), ("objective", 7))
    )
    _changed(study, f"UPDATE trial_values SET {column} = ?", value)
    return f"trial_values.{column} = {value}"


def _version(draw: random.Random, study: Path) -> str:
    statement = draw.choice(
        (
            "UPDATE version_info SET schema_version = 99", "UPDATE alembic_version SET version_num = 'v99.0'",
            "UPDATE trials SET state = 'NOTHING'", "UPDATE trials SET datetime_complete = 'yesterday'",
            "UPDATE trials SET number = 0", "UPDATE studies SET study_name = 'another'",
            "UPDATE study_directions SET direction = 'MINIMIZE'", "UPDATE trials SET state = 'RUNNING'",
            "DELETE FROM trial_user_attributes WHERE key = 'key'", "UPDATE trials SET datetime_complete = NULL",
        )
    )  # fmt: skip
    _changed(study, statement)
    return statement


def _evidence(draw: random.Random, study: Path) -> str:
    files = sorted(path for path in (study / "trials").rglob("*") if path.is_file())
    path, other = draw.choice(files), draw.choice(files)
    kind = draw.choice(("cut", "noise", "another's", "emptied", "a folder", "a pickle"))
    content = path.read_bytes()
    if kind == "a folder":
        path.unlink()
        path.mkdir()
    else:
        new = {"cut": content[: len(content) // 2], "another's": other.read_bytes(), "emptied": b""}
        path.write_bytes(new.get(kind, draw.randbytes(200) if kind == "noise" else b"\x80\x04K\x01."))
    return f"{path.relative_to(study)} {kind}"


def _pointer(draw: random.Random, study: Path) -> str:
    text = draw.choice(
        ("", "nothing", "postgresql+psycopg://a@127.0.0.1:1/b", "\0", "x" * 5000, "sqlite:///x", "\udc80")
    )
    (study / "storage.url").write_bytes(text.encode("utf-8", "surrogateescape"))
    if draw.random() < 0.8:
        (study / "study.db").unlink()
    return f"storage.url = {text[:20]!r}"


def _gone(draw: random.Random, study: Path) -> str:
    path = draw.choice([study / "trials", study / "study.db", *sorted((study / "trials").iterdir())])
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return f"{path.relative_to(study)} removed"


KINDS: dict[str, Callable[[int, int, Path], Iterator[Answer]]] = {
    "study files": study_files, "option values": option_values, "damaged stores": damaged_stores,
}  # fmt: skip


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder, in which and beside which files may be left."""
    with tempfile.TemporaryDirectory() as around:
        folder = Path(around) / "work"
        folder.mkdir()
        yield folder


def answers(share: float = 1.0, seed: int = SEED, kinds: Sequence[str] = ()) -> Iterator[Answer]:
    """The answers to a share of everything, kind by kind.

    Args:
        share: of the counts.
        seed: of what is drawn.
        kinds: by name; all there are without.
    """
    for kind, count in COUNTS.items():
        if not kinds or kind in kinds:
            with work_folder() as folder:
                yield from KINDS[kind](max(1, round(share * count)), seed, folder)
    for kind, (module, count) in OTHERS.items():
        if (Path(__file__).parent / f"{module}.py").is_file() and (not kinds or kind in kinds):
            with work_folder() as folder:
                yield from import_module(module).answers(max(1, round(share * count)), seed, folder)


def table(given: Sequence[Answer], seconds: float) -> str:
    """What came back, as Markdown."""
    lines = [
        "| given | how many | exit 0 | exit 2 | longest answer | wrong |",
        "|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(answer.kind for answer in given):
        of_kind = [answer for answer in given if answer.kind == kind]
        longest = max(len(answer.text) for answer in of_kind if answer.code != 0) if of_kind else 0
        wrong = sum(not answer.ok for answer in of_kind)
        done, refused = (sum(answer.code == code for answer in of_kind) for code in (0, 2))
        lines.append(f"| {kind} | {len(of_kind)} | {done} | {refused} | {longest} | {wrong} |")
    return "\n".join([*lines, "", f"Seed {SEED}; {seconds / 60:.0f} minutes of one CPU core."])


def run(share: float, kinds: Sequence[str]) -> int:
    """Print the table and what was wrong; how many were."""
    began = time.process_time()
    given = list(answers(share, kinds=kinds))
    print(table(given, time.process_time() - began))
    wrong = [answer for answer in given if not answer.ok]
    for answer in wrong:
        print(f"wrong: {answer.kind}: {answer.given!r}: {answer.problem}: {answer.text[:300]}", file=sys.stderr)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(min(1, run(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0, sys.argv[2:])))
