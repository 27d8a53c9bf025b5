"""The committed reference study: its tables follow from its cube, and it holds nobody's text."""

import importlib.util
import json
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from xtsupport.cube.store import read_cube

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "outputs" / "reference"
WORDS = re.compile(r"\w+")
QUOTED = re.compile(
    r"(\N{MINUS SIGN}?\d+\.\d) \((\N{MINUS SIGN}?\d+\.\d) to (\N{MINUS SIGN}?\d+\.\d)\)"
)
LIMIT = 15_000_000  # bytes

pytestmark = pytest.mark.skipif(
    not (FOLDER / "cube").is_dir(), reason="no reference study is part of this checkout"
)


def committed() -> list[Path]:
    """What git would take of the folder: everything that .gitignore does not keep out."""
    import subprocess

    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."],
        cwd=FOLDER,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [FOLDER / name for name in listed.stdout.split("\n") if name]


def test_it_is_small_and_has_neither_weights_nor_predictions():
    files = committed()
    assert sum(path.stat().st_size for path in files) <= LIMIT
    assert not [path for path in files if path.suffix in (".safetensors", ".bin", ".ipynb")]
    for path in files:
        if path.suffix == ".parquet":
            assert "prediction" not in pq.read_schema(path).names, path


def test_no_machine_paths():
    for path in committed():
        if path.suffix in (".json", ".yaml", ".csv", ".txt", ".md", ".html"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users)/", text), path


def test_every_run_is_recorded_with_its_scores():
    cube = read_cube(FOLDER / "cube", columns=["condition", "task", "seed", "phase3_run"])
    keys = {
        json.loads(path.read_text(encoding="utf-8"))["run_key"]
        for path in FOLDER.glob("target/**/run.json")
        if (path.parent / "scores.csv").is_file()
    }
    trained = cube["phase3_run"].dropna().unique()
    assert len(trained) and set(trained) <= keys


def test_the_significance_table_follows_from_the_cube(tmp_path, mirror):
    """The same rows, numbers to 1e-9 of a point, from the cube as it was committed."""
    from xtsupport.report.contents import contents
    from xtsupport.report.paper_tables import write_significance
    from xtsupport.statistics.comparisons import significance
    from xtsupport.statistics.evidence import evidence_of
    from xtsupport.study.params.loading import load_settings

    settings = load_settings(FOLDER / "settings.yaml")
    evidence = evidence_of(FOLDER / "cube", settings, settings.data_source)
    path = write_significance(contents(significance(evidence), evidence), tmp_path)
    pd.testing.assert_frame_equal(
        pd.read_csv(path), pd.read_csv(FOLDER / "significance.csv"), rtol=1e-7, atol=1e-9
    )


def test_every_interval_in_prose_is_a_row_of_the_table():
    """Texts quote as `1.4 (0.1 to 2.7)`: gain and interval of one row, rounded."""
    table = pd.read_csv(FOLDER / "significance.csv", keep_default_na=False)
    rows = table[["gain", "ci_low", "ci_high"]].round(1).add(0.0)
    known = {tuple(f"{value:.1f}".replace("-", "\N{MINUS SIGN}") for value in row)
             for row in rows.itertuples(index=False)}  # fmt: skip
    root = FOLDER.parents[1]
    found = (root / "README.md").read_text(encoding="utf-8")
    found = found.split("## What it found on real languages")[1].split("\n## ")[0]
    texts = [found, (FOLDER / "README.md").read_text(encoding="utf-8")]
    elsewhere = r"<!-- generated: (best|control|pilot) -->.*?<!-- end -->"  # not of this table
    texts = [re.sub(elsewhere, "", text, flags=re.DOTALL) for text in texts]
    quoted = [match for text in texts for match in QUOTED.findall(" ".join(text.split()))]
    assert len(quoted) >= 6 and set(quoted) <= known


def test_the_texts_are_those_that_the_table_and_the_cube_give(mirror):
    """`make reference-report` would change nothing; the prose around it takes no other verdict."""
    spec = importlib.util.spec_from_file_location("reference_texts", ROOT / "docs/reference.py")
    texts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(texts)
    found = texts.study()
    made = texts.passages(found)
    used = set()
    for path in texts.texts():
        text = path.read_text(encoding="utf-8")
        used |= {match[2] for match in texts.PASSAGE.finditer(text)}
        assert texts.filled(text, made) == text, path
    assert used == set(made)
    mine = found.answer[found.answer["task"] == "xquad"]
    verdicts = mine.groupby(mine["by"] == "all")["verdict"].agg(set)
    assert verdicts[True] == {"improves"}  # both READMEs say so, and the next, in their own words
    assert "disagrees" in made["bootstrap"] and "does not differ detectably" in made["short"]
    alone = re.findall(r"(?:, |: )(\S+) ([+\N{MINUS SIGN}])", made["control"].splitlines()[0])
    less = "\N{MINUS SIGN}"
    assert dict(alone) == {"UDPOS": less, "PAN-X": less, "TyDiQA": less, "XNLI": "+"}


def test_the_control_repeats_udpos_nine_times():
    steps = {}
    for name in ("none", "none~squad"):
        run = (FOLDER / "target/udpos" / name / "plain/seed10/run.json").read_text(encoding="utf-8")
        steps[name] = json.loads(run)["steps"]
    assert round(steps["none~squad"] / steps["none"]) == 9


def test_no_eight_words_in_a_row_are_a_datasets(mirror):
    """Eight words that follow each other in any text of the mirror, found in no committed file.

    Runs of numbers are no text: at least five of the eight words must have letters.
    """
    mine: dict[int, str] = {}
    for path in committed():
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            words = [
                " ".join(map(str, column.unique().to_pylist()))
                for column in table.columns
                if "string" in str(column.type)
            ]
            text = "\n".join(words)
        elif path.suffix != ".png":
            text = path.read_text(encoding="utf-8")
        else:
            continue
        for gram in grams(text):
            mine.setdefault(hash(gram), f"{path.name}: {gram}")
    for path in sorted(mirror.rglob("*.parquet")):
        for text in strings(pq.read_table(path)):
            for gram in grams(text):
                assert hash(gram) not in mine, mine[hash(gram)]


def grams(text: str, size: int = 8):
    """All runs of `size` words, in lower case, most of them with letters."""
    words = WORDS.findall(text.lower())
    letters = [any(map(str.isalpha, word)) for word in words]
    for start in range(len(words) - size + 1):
        if sum(letters[start : start + size]) >= 5:
            yield " ".join(words[start : start + size])


def strings(table):
    """Every text of a table, lists of words joined."""
    for column in table.columns:
        for value in column.to_pylist():
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                yield from (each for each in value.get("text", ()) if isinstance(each, str))
            elif isinstance(value, list) and value and isinstance(value[0], str):
                yield " ".join(value)
