"""A study packed for a machine that has nothing: no network, no mirror, no notebooks.

python benchmarks/packed_study.py pack params/reference.yaml .pack        # here
make -C .pack/src reference                                               # there, again and again
python benchmarks/packed_study.py unpack params/reference.yaml packed     # here again

`pack` copies the code, the rows that the study reads and the packaged encoder's weights for the
tokens that occur in them (exact: word vectors are frozen, and what is missing is NaN, so that
nothing can go wrong unseen): some 64 MiB for the reference study. `run`, which `make reference`
calls there, does the study's runs with the functions that the notebooks call, several at a time on
one GPU, those of declared comparisons first; it stops in time, and the same command goes on.
`unpack` puts records, scores and cube into outputs/STUDY: no weights, no text.

The machine needs PyTorch, transformers, accelerate, pandas and pyarrow, and wheels of datasets,
dill, multiprocess, pydantic, pydantic-core, annotated-types and typing-inspection where it lacks
them. With many runs on one GPU, start NVIDIA's MPS first (`nvidia-cuda-mps-control -d`): sixteen
small trainings side by side then ran 1.7 times as fast in float32, 2.2 in bfloat16 (one H200).
"""

import argparse
import json
import lzma
import multiprocessing
import os
import queue
import shutil
import struct
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
WIDTH = 216  # bytes of one word vector: 12 blocks of 18
NO_TEXT = ["id", "idx", "uid", "pairID", "title", "source_id", "lang", "langs"]
GRACE = 15  # seconds for runs in training to leave a checkpoint
KEEP = ("run.json", "scores.csv", "layers.csv", "history.csv")
ORDER = ("task", "language", "metric", "example_id", "condition", "variant", "seed")


# ------------------------------------------------------------------------------------ here: pack


def pack(asked: tuple, folder: Path) -> None:
    """Leave code, rows and encoder of a study in `folder`; prints their sizes."""
    from unittest import mock

    from xtsupport.data import hub
    from xtsupport.tables import task

    plain, read = hub.parts_of, []

    def noted(*given, **named):
        read.extend(plain(*given, **named))
        return plain(*given, **named)

    with mock.patch.object(hub, "parts_of", noted):
        study = study_of(*asked)
    for name in {name for run in study.plan.runs for name in run.settings.get("tasks", ())}:
        read += plain(name, "en", task(name, study.data).eval_split, study.data)  # validated on
    shutil.rmtree(folder, ignore_errors=True)
    for file in {file for part in read for file in part.files or () if file.is_file()}:
        place = folder / "hub" / file.relative_to(study.data)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    skipped = shutil.ignore_patterns("__pycache__", "demo")
    for name in ("xtsupport", "params", "benchmarks"):
        shutil.copytree(ROOT / name, folder / "src" / name, ignore=skipped)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / "src" / name)
    if study.settings.encoder == "offline-e5":
        pack_encoder(folder, token_ids(folder / "hub"))
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {sum(sizes) / 2**20:.1f} MiB")


def token_ids(mirror: Path) -> set[int]:
    """Every token of every word of a mirror."""
    import pandas as pd
    from transformers import AutoTokenizer

    from xtsupport.training import checkpoint

    tokenizer = AutoTokenizer.from_pretrained(checkpoint.located("offline-e5"))
    words: set[str] = set()
    for file in sorted(mirror.rglob("*.parquet")):
        texts = pd.read_parquet(file).drop(columns=NO_TEXT, errors="ignore")
        for text in strings(texts):
            words.update(text.split())  # the tokenizer cuts there first
    found = set(range(300))
    for ids in tokenizer(sorted(words), add_special_tokens=False)["input_ids"]:
        found.update(ids)
    return found


def strings(frame):
    """Every text in a frame, however deep."""
    todo = [value for column in frame for value in frame[column]]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            todo.extend(value.values())
        elif hasattr(value, "__iter__"):
            todo.extend(value)


def pack_encoder(folder: Path, ids: set[int]) -> None:
    """The weights of these tokens and of the layers, the tokenizer: two compressed files."""
    import numpy as np

    from xtsupport.training import offline_encoder as e5

    weights, tokenizer = e5._verified_sources()
    data = weights.read_bytes()
    start, size = next((at, n) for name, _, at, n in e5._directory(data) if name == "emb.word")
    rows = np.frombuffer(data, np.uint8, size, start).reshape(-1, WIDTH)
    kept = np.array(sorted(each for each in ids if each < len(rows)), np.int32)
    head = struct.pack("<QQQ", start, size, len(kept))
    parts = [head, kept.tobytes(), rows[kept].tobytes(), data[:start], data[start + size :]]
    (folder / "weights.xz").write_bytes(lzma.compress(b"".join(parts), preset=1))
    (folder / "tokenizer.xz").write_bytes(lzma.compress(tokenizer.read_bytes()))
    print(f"{len(kept):,} of {len(rows):,} tokens occur")


# ------------------------------------------------------------------------------- there: unfold, run


def unfold(folder: Path, params: str) -> None:
    """Make the encoder where xtsupport looks for it, and the mirror where the params file does."""
    import numpy as np
    import yaml

    from xtsupport import folders
    from xtsupport.folders import user_cache
    from xtsupport.training import offline_encoder as e5

    given = yaml.safe_load((ROOT / params).read_text())["data"]
    mirror = Path(os.path.normpath(folders.root() / given))
    if not mirror.exists():
        mirror.parent.mkdir(parents=True, exist_ok=True)
        mirror.symlink_to((folder / "hub").resolve())
    place = user_cache() / e5._FOLDER
    if place.is_dir():
        return
    data = lzma.decompress((folder / "weights.xz").read_bytes())
    start, size, count = struct.unpack_from("<QQQ", data)
    at = 24 + 4 * count
    block = np.zeros(18, np.uint8)
    block[:2] = np.frombuffer(np.float16(np.nan).tobytes(), np.uint8)
    rows = np.tile(block, (size // WIDTH, WIDTH // 18))
    kept = np.frombuffer(data, np.int32, count, 24)
    rows[kept] = np.frombuffer(data, np.uint8, count * WIDTH, at).reshape(-1, WIDTH)
    rest = data[at + count * WIDTH :]
    user_cache().mkdir(parents=True, exist_ok=True)
    whole, tokenizer = user_cache() / "e5.bin", user_cache() / "tokenizer.json"
    whole.write_bytes(rest[:start] + rows.tobytes() + rest[start:])
    tokenizer.write_bytes(lzma.decompress((folder / "tokenizer.xz").read_bytes()))
    e5._convert(whole, tokenizer, place)


def study_of(params: str, settings: list[str], only: list[str]):
    """The study, evaluated in larger batches: no score depends on them."""
    from xtsupport.study.plan import open_study

    return open_study(params, [*settings, "evaluation.batch_tokens=16384"], only)


def encode(name: str, known: dict) -> None:
    """Keep the features of one data set: ``RUN task`` of its training, ``RUN target code``."""
    from xtsupport.study.phases.evaluating import evaluation_set
    from xtsupport.study.phases.training_rows import training_features
    from xtsupport.training.encoder import load_encoder

    name, *which = name.split()
    run, tokenizer = known[name], load_encoder("offline-e5")[1]
    task = run.training_task or which[0]
    rows = run.settings.get("tasks", {}).get(task, run.settings.get("rows"))
    trained_on = training_features(task, rows, tokenizer, run)
    if len(which) == 2:
        target, code = which
        evaluation_set(target, code, None, trained_on, tokenizer, run)


def to_encode(study) -> list[str]:
    """What `encode` takes: every training set, then every evaluation set of phase 3."""
    rows: dict[tuple, str] = {}
    sets: dict[tuple, str] = {}
    for run in study.plan.runs:
        for task in run.settings.get("tasks", [run.training_task] if run.training_task else ()):
            rows.setdefault((run.phase, task), f"{run.name} {task}")
        for target, codes in run.settings["targets"].items() if run.phase == "target" else ():
            for code in codes:
                sets.setdefault((target, code), f"{run.name} {target} {code}")
    return [*rows.values(), *sets.values()]


def worker(asked, todo, done) -> None:
    """Do runs by name until told to stop: what notebooks 03, 04 and 05 do."""
    import warnings

    import torch

    warnings.filterwarnings("ignore")
    from xtsupport.errors import Stopped
    from xtsupport.study import runs
    from xtsupport.study.execution.orphans import die_with_parent
    from xtsupport.study.phases import train

    die_with_parent()  # else it would wait for work forever
    torch.set_num_threads(1)
    phases = {
        "intermediate": lambda run: train.train_intermediate(run, progress=False),
        "target": lambda run: train.train_target(run, progress=False),
        "retrieval": train.retrieve,
        "pretraining": lambda run: train.pretrain(run, progress=False),
    }
    known = {run.name: run for run in study_of(*asked).plan.runs}
    for name in iter(todo.get, None):
        start, state = time.monotonic(), "done"
        try:
            if " " in name:
                encode(name, known)
            elif not runs.standing(known[name], shipped=False):
                phases[known[name].phase](known[name])
        except Stopped:
            state = "stopped"
        except Exception as error:
            state = f"{type(error).__name__}: {error}"
        done.put((name, state, time.monotonic() - start))


def urgency(study) -> dict[str, tuple]:
    """Run -> its place: declared comparisons first, the primary target before the rest."""
    planned = (study.whole or study.settings).analysis
    declared = [name for pair in planned.contrasts[:2] for name in pair]
    primary = planned.primary.target
    return {
        run.name: (
            run.condition not in declared,
            run.phase != "intermediate" and primary not in run.settings.get("targets", ()),
            run.seed,
            run.phase != "intermediate",
        )
        for run in study.plan.runs
    }


def run(asked: tuple, folder: Path, jobs: int, minutes: float, out: Path) -> None:
    """Do as many runs as there is time for, and leave what `unpack` takes in `out`."""
    until = time.monotonic() + 60 * minutes
    os.chdir(ROOT)
    work = Path(os.environ.setdefault("XTSUPPORT_WORK", f"{tempfile.gettempdir()}/packed"))
    os.environ.update(XTSUPPORT_CACHE=str(work / "cache"), XTSUPPORT_STOP=str(work / "stop"),
                      TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")  # fmt: skip
    (work / "stop").unlink(missing_ok=True)
    unfold(folder, asked[0])
    study = study_of(*asked)
    from xtsupport.study import run_store
    from xtsupport.study.execution import runner

    study.folder.mkdir(parents=True, exist_ok=True)
    runner.keep_settings(study)
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue()
    workers = [
        context.Process(target=worker, args=(asked, todo, done), daemon=True) for _ in range(jobs)
    ]
    for each in workers:
        each.start()
    for name in to_encode(study):
        todo.put(name)
    finished, failed = handed_out(study, workers, todo, done, until, work / "stop")
    for _ in workers:
        todo.put(None)
    run_store.write_list(study)
    bring(study, finished, out)
    every = len(study.plan.runs)
    print(f"{len(finished)} of {every} runs are finished; {len(failed)} stopped or failed")
    for each in workers:
        each.join(2)
        each.kill()


def handed_out(study, workers, todo, done, until: float, stop: Path) -> tuple[set, set]:
    """Names of the runs that were finished by a time of the monotonic clock, and of those that were
    not; a run is handed out when what it starts from is finished."""
    place = urgency(study)
    waiting = sorted(study.plan.runs, key=lambda each: place[each.name])
    above = {each.name: {run.name for run in each.upstream} for each in waiting}
    finished: set[str] = set()
    failed: set[str] = set()
    busy: set[str] = set()
    while (waiting or busy) and any(each.is_alive() for each in workers):
        late = time.monotonic() - until
        if late > 0:
            stop.touch()
            waiting = []
        if late > GRACE:
            break  # what evaluates does not hear of it, and is done again
        waiting = [each for each in waiting if not above[each.name] & failed]
        free = [each for each in waiting if above[each.name] <= finished]
        for each in free[: len(workers) - len(busy)]:
            waiting.remove(each)
            busy.add(each.name)
            todo.put(each.name)
        try:
            name, state, seconds = done.get(timeout=1)
        except queue.Empty:
            continue
        if name in busy:  # else a data set was encoded
            busy.remove(name)
            (finished if state == "done" else failed).add(name)
        print(f"{len(finished)}/{len(place)}  {name}  {seconds:.1f} s  {state}", flush=True)
    return finished, failed


def bring(study, finished: set[str], out: Path) -> None:
    """Records and scores of finished runs in one archive, without predictions."""
    from concurrent.futures import ProcessPoolExecutor

    from xtsupport.study import runs

    out.mkdir(parents=True, exist_ok=True)
    draft = Path(os.environ["XTSUPPORT_WORK"]) / "bring"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    scored: dict[str, list[Path]] = {}
    for each in (run for run in study.plan.runs if run.name in finished):
        source, place = runs.require(each), draft / each.name
        place.mkdir(parents=True)
        for name in KEEP:
            if (source / name).is_file():
                shutil.copy(source / name, place / name)
        if (source / "examples.parquet").is_file():
            kind = each.training_task or each.phase
            scored.setdefault(kind, []).append(source / "examples.parquet")
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(together, scored.values(), [draft / "examples" / kind for kind in scored]))
    for name in ("settings.yaml", "origins.json", runs.PLANNED):
        shutil.copy(study.folder / name, draft / name)
    with tarfile.open(out / "study.tar.gz", "w:gz") as archive:
        archive.add(draft, study.settings.study)


def together(files: list[Path], place: Path) -> None:
    """The examples of many runs in one file, in the order that is smallest."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pa.concat_tables([pq.read_table(file).drop_columns(["prediction"]) for file in files],
                            promote_options="permissive")  # fmt: skip
    rows = rows.sort_by([(name, "ascending") for name in ORDER])
    place.mkdir(parents=True)
    pq.write_table(rows, place / "examples.parquet", compression="zstd", compression_level=9)


# ------------------------------------------------------------------------------ here again: unpack


def unpack(params: str, folder: Path) -> None:
    """Records, scores and cube into outputs/STUDY."""
    import pyarrow.parquet as pq
    from ship import thin, write_part

    from xtsupport import folders
    from xtsupport.cube.store import build_cube
    from xtsupport.study import runs
    from xtsupport.study.params.loading import load_settings
    from xtsupport.tables import languages

    settings = load_settings(params)
    place = folders.outputs() / settings.study
    with tarfile.open(folder / "study.tar.gz") as archive:
        archive.extractall(folders.outputs(), filter="data")
    for file in place.rglob("run.json"):  # where each setting came from is said once, beside them
        record = json.loads(file.read_text(encoding="utf-8"))
        record.pop("origins", None)
        file.write_text(json.dumps(runs.sealed(record)) + "\n", encoding="utf-8")
    for file in place.rglob("history.csv"):
        thin(file, 50)
    parts = sorted((place / "examples").iterdir())
    cube = build_cube(parts, place / "cube", languages(settings.data_source))
    for file in cube.rglob("*.parquet"):
        part = pq.ParquetFile(file).read()
        write_part(file, part.to_pandas(), part.schema)
    shutil.rmtree(place / "examples")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("step", choices=("pack", "run", "unpack"))
    parser.add_argument("params")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=14)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--out", type=Path, default=Path("packed"))
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    which = asked.params, asked.settings, asked.only
    if asked.step == "pack":
        pack(which, asked.folder)
    elif asked.step == "unpack":
        unpack(asked.params, asked.folder)
    else:
        run(which, asked.folder, asked.jobs, asked.minutes, asked.out)
