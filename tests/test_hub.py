"""One loader for hub and mirrors, on small mirrors made here and on the real one."""

from itertools import permutations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xtsupport import tables
from xtsupport.data import available, fingerprint, hub, load, rows
from xtsupport.errors import UserError


def put(folder, dataset, config, split, examples, shards=1):
    """Write rows as the hub lays them out."""
    place = folder / dataset / config
    place.mkdir(parents=True, exist_ok=True)
    for k in range(shards):
        table = pa.Table.from_pylist(examples[k::shards])
        pq.write_table(table, place / f"{split}-{k:05}-of-{shards:05}.parquet")


def nli(prefix, labels):
    return [{"premise": f"{prefix}{k}", "hypothesis": f"{prefix}h{k}", "label": label}
            for k, label in enumerate(labels)]  # fmt: skip


def question(identifier, context="He is old."):
    return {"id": identifier, "title": "", "context": context, "question": "How?",
            "answers": {"text": ["old"], "answer_start": [6]}}  # fmt: skip


@pytest.fixture
def small(tmp_path):
    """XNLI in two languages, TyDiQA in one file, ANLI and MNLI without SNLI."""
    put(tmp_path, "facebook/xnli", "en", "test", nli("en", [0, 1, 2]))
    put(tmp_path, "facebook/xnli", "de", "test", nli("de", [0, 1, 2]))
    ids = ["english-1", "finnish-1", "english-2"]
    put(tmp_path, "google/xtreme", "tydiqa", "validation", [question(i) for i in ids])
    for number in (1, 2, 3):
        examples = [row | {"uid": f"u{number}-{k}"} for k, row in enumerate(nli("a", [0, 1]))]
        put(tmp_path, "facebook/anli", "plain_text", f"train_r{number}", examples)
    put(tmp_path, "nyu-mll/glue", "mnli", "train", nli("m", [2, 2, 0, 1]), shards=2)
    return tmp_path


def test_default_split_and_language(small):
    examples = load("xnli", data=small)
    assert examples.column_names == ["example_id", "cluster_id", "text", "text_pair", "label"]
    assert list(examples["text"]) == ["en0", "en1", "en2"]
    assert list(examples["example_id"]) == ["0", "1", "2"]


def test_parallel_rows_have_the_same_ids(small):
    ids = [list(load("xnli", code, data=small)["example_id"]) for code in ("en", "de")]
    assert ids[0] == ids[1]


def test_one_file_for_all_languages(small):
    assert list(load("tydiqa", "fi", data=small)["example_id"]) == ["finnish-1"]
    assert rows("tydiqa", "en", data=small) == 2


def test_shards_are_joined_in_order(small):
    assert list(load("mnli", "en", "train", small)["text"]) == ["m0", "m2", "m1", "m3"]
    assert rows("mnli", "en", "train", small) == 4


def test_a_missing_shard_is_an_error(small):
    (small / "nyu-mll/glue/mnli/train-00001-of-00002.parquet").unlink()
    with pytest.raises(UserError, match=r"train-00001-of-00002.parquet is missing \(1 of 2"):
        load("mnli", "en", "train", small)


def test_the_hubs_own_file_names(tmp_path):
    choice = {"ctx_a": "a", "ctx_b": "b", "endings": ["x", "y"], "label": "1"}
    put(tmp_path, "Rowan/hellaswag", "data", "train", [choice])
    path = tmp_path / "Rowan/hellaswag/data/train-00000-of-00001.parquet"
    path.rename(path.with_name("train-00000-of-00001-b42a775f407cee45.parquet"))
    assert load("hellaswag", "en", "train", tmp_path)[0]["label"] == 1


def test_combined_task_says_which_parts_it_used(small):
    split = tables.task("anli_plus").train_split
    with pytest.warns(UserWarning, match="lacks stanfordnlp/snli/plain_text/train; using"):
        examples = load("anli_plus", "en", split, small)
    assert len(examples) == rows("anli_plus", "en", split, small) == 3 * 2 + 4
    assert "snli" not in examples.info.description
    assert "facebook/anli/plain_text/train_r3" in examples.info.description
    assert len(set(examples["example_id"])) == 10
    assert not available("anli_plus", "en", split, small)
    assert hub.present("anli_plus", "en", split, small)


def test_any_split_expression_can_be_asked_for(small):
    assert len(load("anli_plus", "en", "train_r1+mnli/train", small)) == 6


def test_second_language(small):
    pair = load("xnli", "de", data=small, language_2="en")
    assert list(pair["text"]) == ["de0", "de1", "de2"]
    assert list(pair["text_pair"]) == ["enh0", "enh1", "enh2"]


def test_pairs_leave_out_rows_that_are_not_parallel(tmp_path):
    def side(texts, labels):
        return [{"sentence1": a, "sentence2": "x", "label": b}
                for a, b in zip(texts, labels, strict=True)]  # fmt: skip

    put(tmp_path, "google/xtreme", "PAWS-X.en", "test", side(["a", "b", "c"], ["0", "1", "1"]))
    put(tmp_path, "google/xtreme", "PAWS-X.de", "test", side(["A", "NS", "C"], ["0", "1", "0"]))
    pair = load("pawsx", "en", data=tmp_path, language_2="de")
    assert list(pair["example_id"]) == ["0"]


def test_questions_in_another_language(tmp_path):
    put(tmp_path, "google/xtreme", "XQuAD.de", "validation", [question("1", "Er ist old.")])
    put(tmp_path, "google/xtreme", "XQuAD.en", "validation", [question("1") | {"question": "Age?"}])
    (row,) = load("xquad", "de", data=tmp_path, language_2="en")
    assert (row["context"], row["question"]) == ("Er ist old.", "Age?")


def test_pairs_of_tasks_that_are_not_parallel(small):
    with pytest.raises(UserError, match=r"tydiqa: no pairs of two languages \(en, fi\)"):
        load("tydiqa", "en", data=small, language_2="fi")


def test_mlqa_pairs_are_configurations(tmp_path):
    put(tmp_path, "google/xtreme", "MLQA.de.hi", "test", [question("m1")])
    assert len(load("mlqa", "de", data=tmp_path, language_2="hi")) == 1
    assert available("mlqa", "de", None, tmp_path, "hi")
    assert not available("mlqa", "de", None, tmp_path)


@pytest.mark.parametrize("code", ["ht", "qu"])
def test_xcopa_has_languages_of_its_own(tmp_path, code):
    row = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1,
           "idx": 0, "changed": False}  # fmt: skip
    put(tmp_path, "cambridgeltl/xcopa", code, "test", [row])
    (example,) = load("xcopa", code, data=tmp_path)
    assert (example["context"], example["choices"], example["label"]) == ("p", ["a", "b"], 1)


def test_romanian_xquad_of_the_hub_and_of_a_mirror(tmp_path):
    put(tmp_path, "google/xquad", "xquad.ro", "validation", [question("1")])
    put(tmp_path, "google/xtreme", "XQuAD.ro", "validation", [question("2")])
    assert load("xquad_ro", "ro", data=tmp_path)[0]["example_id"] == "1"
    assert load("xquad", "ro", data=tmp_path)[0]["example_id"] == "2"


def test_translations_of_an_english_task_lie_beside_it(tmp_path):
    put(tmp_path, "rajpurkar/squad", "plain_text.de", "train", [question("d1")])
    assert len(load("squad", "de", "train", tmp_path)) == 1


def test_what_is_missing_is_named_with_what_is_there(small):
    with pytest.raises(UserError) as caught:
        load("xnli", "de", "train", small)
    (line,) = caught.value.problems
    assert "xnli: no 'train' split for de" in line
    assert "facebook/xnli/de/train-*.parquet, there are the splits test" in line
    for ask in (rows, fingerprint):
        with pytest.raises(UserError, match="no 'train' split"):
            ask("xnli", "de", "train", small)


def test_a_language_that_the_benchmark_does_not_have(small):
    with pytest.raises(UserError, match=r"udpos: no data for bn \(Bengali\)"):
        load("udpos", "bn", data=small)
    with pytest.raises(UserError, match="unknown language 'xx'"):
        load("udpos", "xx", data=small)


@pytest.mark.parametrize("keep", [0, 10, -20])
def test_a_truncated_file_is_named(small, keep):
    path = small / "facebook/xnli/en/test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    for ask in (load, rows):
        with pytest.raises(
            UserError, match=r"test-00000-of-00001.parquet is not a complete parquet"
        ):
            ask("xnli", "en", data=small)


def test_damage_inside_a_file_is_named(small):
    path = small / "facebook/xnli/en/test-00000-of-00001.parquet"
    whole = bytearray(path.read_bytes())
    whole[4:60] = b"\xff" * 56
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"test-00000-of-00001.parquet is not a complete parquet"):
        load("xnli", "en", data=small)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"task": [1]}, r"unknown task \[1\]"),
        ({"language": {"de": 1}}, "unknown language {'de': 1}"),
        ({"split": 3}, "the split 3 must be text"),
        ({"split": "x" * 5000}, "no 'xxx"),
        ({"data": 5}, "5 cannot be a path"),
        ({"data": None}, "None cannot be a path"),
        ({"language_2": ["de"]}, r"unknown language \['de'\]"),
        ({"first": 1.5}, "first = 1.5 must be a whole number of rows"),
        ({"first": -1}, "first = -1 must be a whole number of rows"),
    ],
)
def test_arguments_of_another_kind_are_one_line(small, asked, words):
    with pytest.raises(UserError, match=words) as error:
        load(**({"task": "xquad", "language": "en", "data": small} | asked))
    assert len(error.value.problems) == 1 and len(str(error.value)) < 1000


def test_fingerprint_follows_the_data(small, tmp_path_factory):
    before = fingerprint("xnli", "en", data=small)
    assert before == fingerprint("xnli", "en", data=str(small))
    assert before != fingerprint("xnli", "de", data=small)
    assert before != fingerprint("xnli", "en", data=small, language_2="de")
    put(small, "facebook/xnli", "en", "test", nli("EN", [0, 1, 2]))
    assert before != fingerprint("xnli", "en", data=small)
    put(small, "facebook/xnli", "en", "test", nli("en", [0, 1, 2]))
    assert before == fingerprint("xnli", "en", data=small)


def test_a_users_own_task(tmp_path):
    header = (tables.PACKAGE / "tasks.csv").read_text(encoding="utf-8").split("\n")[0]
    row = dict.fromkeys(header.split(","), "")
    row |= {"name": "mine", "role": "target", "kind": "retrieval", "hub": "me/mine",
            "config": "{code}", "eval_split": "test", "languages": "de", "parallel": "no",
            "metrics": "accuracy", "evaluator": "accuracy"}  # fmt: skip
    (tmp_path / "tasks.csv").write_text(header + "\n" + ",".join(row.values()) + "\n")
    put(tmp_path, "me/mine", "de", "test", [{"text": "eins", "text_2": "one"}])
    assert load("mine", "de", data=tmp_path)[0] == {
        "example_id": "de-0", "cluster_id": "de-0", "text": "eins", "text_2": "one"
    }  # fmt: skip


def test_what_the_tables_say_of_the_hub_needs_no_network():
    assert fingerprint("squad", "en", "train") != fingerprint("squad", "en", "validation")
    assert available("xquad", "th") and not available("xquad", "fi")


# --------------------------------------------------------------------------- the real mirror


def splits_of(folder):
    return sorted({path.name.rsplit("-", 3)[0] for path in folder.glob("*.parquet")})


@pytest.fixture(scope="module")
def loaded(mirror):
    """{file: examples} of every task, language and split of the real mirror."""
    found = {}
    for name, task in tables.tasks().items():
        codes = [c for c in tables.languages() if c in task.languages or c == "ro"]
        for code in codes if "/" in task.hub else ():
            try:
                first = hub.parts_of(name, code, task.eval_split, mirror)[0]
            except UserError:
                continue
            for split in splits_of(mirror / first.task.hub / first.config):
                (source,) = hub.parts_of(name, code, split, mirror)
                if rows(name, code, split, mirror):
                    found[name, code, split] = source, load(name, code, split, mirror)
    return found


def test_every_file_of_the_mirror_loads(mirror, loaded):
    read = {path for source, _ in loaded.values() for path in source.files}
    for first, second, split in pairs_of_mlqa(mirror):
        (source,) = hub.parts_of("mlqa", first, split, mirror, second)
        examples = load("mlqa", first, split, mirror, second)
        same = loaded["mlqa", first, split][1]  # context and answer as if asked in their language
        contexts = dict(zip(same["example_id"], same["context"], strict=True))
        assert all(contexts.get(row["example_id"], row["context"]) == row["context"]
                   for row in examples)  # fmt: skip
        read |= set(source.files)
    unread = sorted(str(path.relative_to(mirror)) for path in set(mirror.rglob("*.parquet")) - read)
    assert not unread, f"no row of tasks.csv reads {unread}"


def pairs_of_mlqa(mirror):
    """(language of the context, of the question, split) of what the mirror has of them."""
    pairs = permutations(tables.task("mlqa").languages, 2)
    return [
        (*pair, split)
        for pair in pairs
        for split in splits_of(mirror / "google/xtreme" / f"MLQA.{'.'.join(pair)}")
    ]


def test_no_row_is_lost_and_ids_are_unique(mirror, loaded):
    for (name, code, split), (_, examples) in loaded.items():
        assert len(examples) == rows(name, code, split, mirror), (name, code, split)
        assert len(set(examples["example_id"][:])) == len(examples), (name, code, split)
        assert set(examples["cluster_id"][:]) <= set(examples["example_id"][:])


def test_xquad_is_parallel_with_240_paragraphs(loaded):
    codes = [code for name, code, _ in loaded if name == "xquad"]
    assert len(codes) >= 11
    first = loaded["xquad", "en", "validation"][1]
    assert len(first) == 1190 and len(set(first["cluster_id"][:])) == 240
    for code in codes:
        other = loaded["xquad", code, "validation"][1]
        assert other["example_id"][:] == first["example_id"][:]
        assert other["cluster_id"][:] == first["cluster_id"][:]


def test_xnli_has_1670_premises_in_every_language(loaded):
    sets = [examples for (name, _, split), (_, examples) in loaded.items()
            if (name, split) == ("xnli", "test")]  # fmt: skip
    assert len(sets) == 15
    for examples in sets:
        assert examples["cluster_id"][:] == [str(k - k % 3) for k in range(5010)]
        assert examples["label"][:] == sets[0]["label"][:]


def test_answers_lie_where_they_say_in_every_script(loaded):
    for (name, code, _), (_, examples) in loaded.items():
        if tables.task(name).kind == "span":
            for context, answers in zip(
                examples["context"][:], examples["answers"][:], strict=True
            ):
                for text, start in zip(answers["text"], answers["answer_start"], strict=True):
                    assert context[start : start + len(text)] == text, (name, code)


@pytest.mark.parametrize(
    ("code", "block"),
    [("ar", (0x0600, 0x06FF)), ("he", (0x0590, 0x05FF)), ("th", (0x0E00, 0x0E7F)),
     ("zh", (0x4E00, 0x9FFF)), ("ja", (0x3040, 0x30FF)), ("hi", (0x0900, 0x097F))],
)  # fmt: skip
def test_right_to_left_unsegmented_and_combining_text_is_untouched(loaded, code, block):
    source, examples = loaded["udpos", code, "test"]
    raw = pq.read_table(source.files[0])
    assert examples["tokens"][:] == raw["tokens"].to_pylist()
    letters = "".join(token for tokens in examples["tokens"][:50] for token in tokens)
    assert any(block[0] <= ord(letter) <= block[1] for letter in letters)


def test_real_pairs_in_two_languages(mirror):
    pair = load("pawsx", "de", "validation", mirror, language_2="ja")
    assert 1800 < len(pair) < 2000
    assert "NS" not in set(pair["text"][:]) | set(pair["text_pair"][:])
    assert len(load("xnli", "sw", "test", mirror, language_2="th")) == 5010


def test_the_hub_has_a_language_where_the_task_of_the_split_has_it():
    """Translations of MNLI are XNLI's training sets; MNLI itself has none."""
    assert hub.available("mnli", "de", "xnli/train", "hub")
    assert not hub.available("mnli", "de", "train", "hub")
    assert not hub.available("mnli", "fi", "xnli/train", "hub")
