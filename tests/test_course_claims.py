"""What solutions and lessons say about the demo study, against the cube that comes with it."""

import importlib.util
import math
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml

from xtsupport import folders
from xtsupport.cube.scores import official, score_table
from xtsupport.cube.store import read_cube
from xtsupport.data import load
from xtsupport.tables import encoders, language_table

KIT = Path(__file__).parents[1] / "notebooks" / "kit"


@pytest.fixture(scope="module")
def cube():
    return read_cube(folders.shipped() / "study" / "cube")


@pytest.fixture(scope="module")
def means(cube) -> pd.DataFrame:
    """Condition x target: mean over seeds and the languages other than English."""
    scores = official(score_table(cube), "world")
    away = scores[scores["language"] != "en"]
    return away.groupby(["condition", "task"])["score"].mean().unstack()


def test_solution_00_sharing_words_with_the_question_never_finds_the_sentence():
    decided = []
    for row in load("xquad", "en", data="world"):
        sentences = row["context"].rstrip(".").split(". ")
        asked = set(row["question"].rstrip("?").split())
        shared = [len(asked & set(sentence.split())) for sentence in sentences]
        best = [i for i, count in enumerate(shared) if count == max(shared)]
        if len(best) == 1:
            place = row["context"][: row["answers"]["answer_start"][0]].count(".")
            decided.append((best[0] == place, " not " in sentences[best[0]]))
    assert len(decided) == 83 and set(decided) == {(False, True)}
    row = load("xquad", "en", data="world")[5]
    assert row["question"] == "What Gil boiled?" and row["context"].count("Gil ") == 3
    assert "Gil cooked fish" in row["context"] and row["answers"]["text"] == ["fish"]


def test_notebook_01_a_question_has_a_synonym_of_its_sentences_verb():
    from xtsupport.data.world.languages import SYNONYM

    for row in load("xquad", "en", data="world"):
        (asked,) = SYNONYM.keys() & row["question"].rstrip("?").split()
        place = row["context"][: row["answers"]["answer_start"][0]].count(".")
        sentences = [each.split() for each in row["context"].rstrip(".").split(". ")]
        assert SYNONYM[asked] in sentences[place] and asked not in sentences[place]
        assert all("not" in each for each in sentences if asked in each)


@pytest.mark.parametrize("code", ["en", "qkb", "qga", "qtc", "qfa"])
def test_notebook_01_most_raw_texts_ask_and_many_answer(code):
    texts = load("wikipedia", code, "train", data="world")["text"]
    assert 0.5 < np.mean(["?" in text for text in texts]) < 0.9
    assert np.mean([bool(re.search(r"\? \w+\.", text)) for text in texts]) > 0.4


def test_notebook_01_one_family_with_english_order_shares_names_and_numbers_only():
    from xtsupport.data.world.languages import NAMES, NUMBERS

    def words(code: str) -> set[str]:
        texts = load("xquad", code, data="world")
        text = " ".join([*texts["context"], *texts["question"]])
        return set(re.findall(r"\w+", text))

    for code in ("qna", "qnb", "qnc"):
        assert words(code) & words("en") == {*NAMES, *NUMBERS}


def test_notebook_01_what_the_reference_study_is_exposed_to_stands_beside_its_results():
    met = encoders("hub")["offline-e5"].exposed
    targets = ["xnli", "panx", "udpos", "xquad", "mlqa", "tydiqa", "tatoeba"]
    assert [name for name in targets if name not in met] == ["panx", "udpos"]
    for path in sorted(KIT.parent.glob("0[4-7]_*.ipynb")):
        book = nbformat.read(path, as_version=4)
        beside = [each.source for each in book.cells if "reference study" in each.source]
        assert any("*exposed*" in each for each in beside), path.name


def test_solution_00_counts_the_trainings_that_the_study_plans(monkeypatch, tmp_path):
    from xtsupport.study.plan import open_study

    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    study = open_study(Path(__file__).parents[1] / "params" / "demo.yaml")
    settings, trained = study.settings, ["xquad", "xnli", "udpos"]
    seeds = [len(settings.seeds_of(name, on)) for name in settings.conditions for on in trained]
    phases = ("pretraining", "intermediate", "target")
    counts = [len(study.runs(phase)) for phase in phases]
    assert counts == [1, 20, 86] and sum(seeds) == 86


def test_solution_01_tagging_is_solved_where_the_word_order_is_that_of_english(cube):
    scores = official(score_table(cube), "world").query("task == 'udpos' and language != 'en'")
    family = scores["language"].map(language_table("world").set_index("code")["family"])
    means = scores.groupby([family, "condition"])["score"].mean().unstack()
    others = ["Swayric", "Turnic", "Farric"]
    assert (means["none"].drop(others) > 98).all() and means.loc[others, "none"].between(
        72, 86
    ).all()
    assert (means["squad"] - means["none"]).max() < 1


@pytest.mark.slow
def test_solution_07_four_in_ten_significant_rows_do_not_stay_so(cube, monkeypatch, tmp_path):
    from xtsupport.report import style
    from xtsupport.statistics.comparisons import significance
    from xtsupport.statistics.evidence import evidence_of
    from xtsupport.study.conclude import find_cube, present
    from xtsupport.study.plan import open_study

    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    monkeypatch.setattr(style, "ORIGIN", style.ORIGIN)  # `present` sets it
    study = present(open_study(Path(__file__).parents[1] / "params" / "demo.yaml"))
    table = significance(evidence_of(find_cube(study), study.settings, study.data))
    alone = table[table["p_value"] <= 0.05]
    assert 0.38 < (alone["p_adjusted"] > 0.05).mean() < 0.45


def test_solution_04_training_longer_reaches_next_to_nothing_of_the_gain(cube):
    spec = importlib.util.spec_from_file_location("predictions", KIT / "predictions.py")
    sheet = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sheet)
    assert abs(sheet.truth(cube, language_table("world"))["longer"]) < 20


def test_solution_05_squad_lowers_retrieval_most_and_hellaswag_least(means):
    retrieval = means["tatoeba"].dropna().drop("all")
    assert retrieval.idxmax() == "none" and retrieval.idxmin() == "squad"
    assert retrieval.drop("none").idxmax() == "hellaswag"


def test_solution_05_retrieval_and_transfer_agree_loosely(cube):
    scores = official(score_table(cube), "world").query("condition == 'none' and seed == 0")
    both = scores.pivot_table(index="language", columns="task", values="score", observed=True)
    both = both[["tatoeba", "xquad"]].drop("en")
    assert 0.2 < both.corr("spearman").loc["tatoeba", "xquad"] < 0.7
    family = both.groupby(language_table("world").set_index("code")["family"]).mean()
    assert family.loc["Turnic"].equals(family.min())
    apart = family.loc["Kindric"] - family.loc["Farric"]
    assert abs(apart["tatoeba"]) < 5 and apart["xquad"] > 15


def test_solution_07_squad_helps_every_family_and_other_kinds_do_not_help(cube, means):
    assert means["xquad"][["mnli", "hellaswag"]].max() < means["xquad"]["none"]
    scores = official(score_table(cube), "world").query("task == 'xquad' and language != 'en'")
    family = scores["language"].map(language_table("world").set_index("code")["family"])
    table = scores.groupby([family, "condition"])["score"].mean().unstack()
    assert (table["squad"] > table[["none", "none~squad"]].max(axis=1)).all()


def test_notebook_07_two_runs_make_much_of_the_loss_on_the_other_targets(cube):
    scores = official(score_table(cube), "world").query("language != 'en'")
    scores = scores[scores["task"].isin(["udpos", "xnli"])].assign(
        family=scores["language"].map(language_table("world").set_index("code")["family"])
    )
    means = scores.groupby(["condition", "family", "seed", "task"], observed=True)["score"].mean()
    gains = (means["squad"] - means["none"]).unstack("task").mean(axis=1, skipna=False).dropna()
    gains = gains.unstack("seed")
    assert list(gains) == [0, 1, 2, 3, 4]
    smaller = pd.DataFrame({
        seed: gains.drop(columns=seed).mean(axis=1) - gains.mean(axis=1) for seed in gains
    })  # fmt: skip
    assert len(smaller) == 7 and {*smaller.idxmax(axis=1)} == {0, 4}
    assert smaller.max(axis=1).round().between(2, 5).all()
    squad = means["squad"].unstack("task")["xnli"].groupby("seed").mean()
    assert {*squad.nsmallest(2).index} == {0, 4} and squad[[0, 4]].max() < squad[
        [1, 2, 3]
    ].min() - 5


def history(condition: str) -> pd.DataFrame:
    """Losses of the shipped phase-2 run of a condition, seed 0."""
    folder = folders.shipped() / "intermediate" / condition / "seed0"
    return pd.read_csv(folder / "history.csv").assign(
        english=pd.read_csv(folder / "scores.csv")["score"].iloc[0]
    )


def late(losses: pd.DataFrame, share: float) -> pd.DataFrame:
    return losses[losses["step"] > share * losses["step"].max()]


def test_solution_02_a_copy_makes_one_word_certain_and_without_it_any_food_fits():
    from xtsupport.data.world.languages import TOPICS
    from xtsupport.training.probe import guess, load_masked

    model, tokenizer = load_masked(folders.shipped() / "pretraining" / "seed0" / "model")
    last = "Ada cooked soup in kitchen."
    for word in ("Ada", "soup"):
        first = guess(model, tokenizer, f"{last} Ben sold 3 chair. {last}", word=word).iloc[0]
        assert first["guess"] == word and first["probability"] > 90
    alone = guess(model, tokenizer, last, word="soup").head(4)
    assert set(alone["guess"]) == set(TOPICS["kitchen"][1])
    assert alone["probability"].max() < 60 and alone["probability"].sum() > 80


def test_solution_03_losses_of_other_tasks_cannot_be_compared():
    squad, mnli, mixed = history("squad"), history("mnli"), history("all")
    assert squad["loss"].head(5).mean() == pytest.approx(3.2, abs=0.3)  # log of about 26 pieces
    assert mnli["loss"].head(5).mean() == pytest.approx(math.log(3), abs=0.05)
    ends = [late(each, 0.8)["loss"].mean() for each in (squad, mnli)]
    assert ends[0] < 0.01 and 5 < ends[1] / ends[0] < 25  # "some ten times"; the quiz: 0.006, 0.05
    assert [round(ends[0], 3), round(ends[1], 2)] == [0.006, 0.05]
    assert min(squad["english"].iloc[0], mnli["english"].iloc[0]) > 99
    start = mixed.head(30).groupby("task")["loss"].mean()
    assert start[["mnli", "hellaswag"]].round(1).tolist() == [1.1, 1.4] and start["squad"] > 3
    jumps = late(mixed, 0.5).groupby("task")["loss"].std()
    assert jumps["mnli"] > 2 * jumps.drop("mnli").max()  # most, with seed 0
    counts = late(mixed, 0.5)["task"].value_counts()
    assert counts["hellaswag"] < counts.drop("hellaswag").min()  # half as many rows


def test_solution_06_many_examples_change_and_the_noise_is_of_several_points(cube, means):
    f1 = cube.query("task == 'xquad' and metric == 'f1' and language != 'en'")
    score = f1.pivot_table("score", ["seed", "language", "example_id"], "condition", observed=True)
    for baseline in ("none", "none~squad"):
        changed = (score["squad"] - score[baseline]).abs().eq(1).groupby("seed").mean()
        assert changed.between(0.28, 0.51).all()  # three to five in ten
    scores = official(score_table(cube), "world").query("language != 'en'")
    by_seed = scores.groupby(["task", "condition", "seed"])["score"].mean()
    spread = by_seed.groupby(["task", "condition"]).std().groupby("task").mean()
    assert (spread.idxmax(), spread.idxmin()) == ("xnli", "udpos")
    assert 150 < (2 * 1.41 * spread["xnli"]) ** 2 < 250  # about 200 seeds


def test_solution_06_who_is_easier_than_what_but_where_the_verb_is_last(cube):
    asked = load("xquad", "en", data="world").to_pandas().set_index("example_id")["question"]
    rows = cube.query("task == 'xquad' and metric == 'exact_match'")
    rows = rows[rows["condition"].isin(["none", "squad", "none~squad"])]
    rows = rows.assign(who=rows["example_id"].map(asked).str.startswith("Who"))
    first = rows[rows["seed"] == 0].groupby(["family", "who"], observed=True)["score"].mean()
    easier = first.unstack()[True] > first.unstack()[False]
    assert easier[~easier].index.tolist() == ["Turnic"]
    turnic = rows[(rows["family"] == "Turnic") & (rows["condition"] == "squad")]
    by_seed = turnic.groupby(["seed", "who"])["score"].mean().unstack()
    assert (by_seed[True] > by_seed[False]).sum() == 4 and by_seed[True][0] > by_seed[False][0]


def test_notebook_06_some_right_sentences_say_not(cube):
    asked = {*cube.query("task == 'xquad'")["example_id"]}
    rows = [row for row in load("xquad", "en", data="world") if row["example_id"] in asked]
    right = [row["context"][: row["answers"]["answer_start"][0]].count(".") for row in rows]
    said = [row["context"].split(".")[place] for row, place in zip(rows, right, strict=True)]
    assert (sum(" not " in each for each in said), len(rows)) == (11, 200)


def test_notebook_04_most_is_lost_where_word_order_differs_and_lazy_rules_beat_turnic(cube):
    from xtsupport.cube.scores import with_guesses

    scores = official(score_table(cube), "world").query("task == 'xquad' and language != 'en'")
    family = language_table("world").set_index("code")["family"]
    by_family = scores.groupby(["condition", scores["language"].map(family)])["score"].mean()
    squad = by_family["squad"].drop("Kindric")
    assert {*squad.nsmallest(3).index} == {"Swayric", "Turnic", "Farric"}
    guesses = with_guesses(scores, "world")
    lazy = guesses[guesses["condition"].astype(str).eq("lazy rules")]["score"]
    assert by_family["none"]["Turnic"] + 5 < lazy.min()


def test_notebook_04_says_how_many_steps_the_demo_trains():
    demo = yaml.safe_load((Path(__file__).parents[1] / "params" / "demo.yaml").read_text())
    own = demo["target"] | demo["tasks"]["squad"]
    assert (own["max_rows"], own["epochs"]) == (48, 24)
    after = own["max_rows"] * own["epochs"] // own["batch_size"]
    folder = folders.shipped() / "intermediate" / "squad" / "seed0"
    before = int(pd.read_csv(folder / "history.csv")["step"].max())
    assert (before, after, before + after) == (375, 72, 447)
    assert len(load("squad", "en", "train", "world")) == 4000


def test_quiz_and_slides_name_the_gains_of_the_demo(cube, means):
    xquad = means["xquad"]
    over, control = (xquad["squad"] - xquad[each] for each in ("none", "none~squad"))
    longer = xquad["none~squad"] - xquad["none"]
    assert (round(over), round(longer), round(over) - round(longer)) == (38, 3, 35)
    asked = (KIT / "quiz.toml").read_text(encoding="utf-8")
    assert "helps by 38 points" in asked and "alone helps by 3." in asked and "about 35" in asked
    told = (KIT / "slides.toml").read_text(encoding="utf-8")
    assert f"+38 over no intermediate task, +{control:.1f} over the control" in told
    scores = official(score_table(cube), "world").query("task == 'xquad' and language != 'en'")
    family = scores["language"].map(language_table("world").set_index("code")["family"])
    table = scores.groupby([family, "condition"])["score"].mean().unstack()
    gains = (table["squad"] - table["none"]).round()
    assert {*gains[["Glyphic", "Novaric"]]} == {43, 44} and gains["Turnic"] == gains.min() == 26


def test_the_world_has_eighty_words():
    from xtsupport.data.world import languages as world

    parts = ("CONTENT_WORDS", "FUNCTION_WORDS", "NAMES", "NUMBERS")
    assert sum(len(getattr(world, each)) for each in parts) == 80


def test_the_lesson_on_luck_machines_disagree_on_xnli(cube):
    """Each seed's interval by its own questions, by hand: a t test over passages."""
    rows = cube.query("task == 'xnli' and metric == 'accuracy' and language != 'en'")
    keys = ["seed", "cluster_id", "language"]
    score = rows.pivot_table("score", keys, "condition", observed=True)
    gain = (
        (score["squad"] - score["none"])
        .dropna()
        .groupby(["seed", "cluster_id"], observed=True)
        .mean()
    )
    by_seed = gain.groupby("seed")
    reach = 1.97 * by_seed.std() / by_seed.size() ** 0.5
    claims = np.sign(by_seed.mean()).where(by_seed.mean().abs() > reach, 0)
    assert claims.value_counts().to_dict() == {-1: 3, 0: 2}
    means = by_seed.mean()
    assert abs(means.mean()) < 2.78 * means.std() / 5**0.5  # together: open


@pytest.mark.slow
def test_solution_02_after_600_steps_there_are_no_translations_yet(tmp_path, monkeypatch):
    from xtsupport.data.world.languages import dictionary
    from xtsupport.evaluation.nearness import translation_accuracy
    from xtsupport.evaluation.retrieval import embed
    from xtsupport.study.phases import train
    from xtsupport.study.plan import open_study
    from xtsupport.training.probe import load_masked

    monkeypatch.setenv("XTSUPPORT_ROOT", str(tmp_path))
    params = Path(__file__).parents[1] / "params" / "demo.yaml"
    (run,) = open_study(params, ["pretraining.steps=600"]).runs("pretraining", into="scratch")
    train.pretrain(run)
    losses = pd.read_csv(run.folder / "history.csv")["loss"]
    full = pd.read_csv(folders.shipped() / "pretraining" / "seed0" / "history.csv")["loss"]
    assert losses.head(20).mean() > 6.5 and 3 < losses.tail(20).mean() < 5
    assert full.tail(20).mean() < 1

    def nearest(folder: Path) -> float:
        model, tokenizer = load_masked(folder)
        words = dictionary().reset_index(drop=True)
        found = translation_accuracy(words, embed(model.base_model, tokenizer, words["text"]))
        return found.loc[found["layer"] == 0, "score"].mean()

    assert nearest(run.folder / "model") < 15
    assert nearest(folders.shipped() / "pretraining" / "seed0" / "model") > 60


def test_05_names_the_layer_that_counts():
    book = nbformat.read(KIT.parent / "05_sentence_retrieval.ipynb", as_version=4)
    text = " ".join(next(cell.source for cell in book.cells if cell.id == "05-07").split())
    demo, reference = (
        yaml.safe_load((KIT.parents[1] / "params" / f"{name}.yaml").read_text(encoding="utf-8"))
        for name in ("demo", "reference")
    )
    layers = demo["retrieval"]["layer"], reference["retrieval"]["layer"]
    assert f"{layers[0]} in the demo, {layers[1]} of 12 in the reference study" in text


def test_the_prediction_sheet_finds_what_07_finds(cube):
    """07, intended and found: of these families, Turnic and Farric gain less than Kindric."""
    sheet = importlib.util.spec_from_file_location("predictions", KIT / "predictions.py")
    module = importlib.util.module_from_spec(sheet)
    sheet.loader.exec_module(module)
    found = module.truth(cube, language_table("world"))
    less = {name for name in module.FAMILY if found[name] != "alike"}
    assert less == {"order", "everything"}


def test_04_says_how_far_the_runs_in_turnic_lie_apart(cube):
    scores = official(score_table(cube), "world").query("task == 'xquad' and condition == 'squad'")
    table = language_table("world").set_index("code")["family"]
    runs = scores[scores["language"].map(table) == "Turnic"].groupby("seed")["score"].mean()
    book = nbformat.read(KIT.parent / "04_target_transfer.ipynb", as_version=4)
    text = " ".join(next(cell.source for cell in book.cells if cell.id == "04-09").split())
    assert "`squad` with seed 0 is there the lowest of eight runs" in text
    assert runs.idxmin() == 0 and len(runs) == 8
    assert f"range from {runs.min():.0f} to {runs.max():.0f} in the demo" in text
