"""What the README says is there, is there."""

import re
from pathlib import Path

import pytest

from xtsupport.study import cli
from xtsupport.study.cli import main

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.S | re.M)
BLOCKS = [text for language, text in FENCED if language in ("", "sh")]
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]


def test_every_file_in_the_layout_exists():
    layout = next(block for block in BLOCKS if block.startswith("params/"))
    parents, missing = [ROOT], []
    for line in layout.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        if depth > 2:  # the second line of an explanation
            continue
        names = re.split(r"\s{2,}", line.strip())[0].split()
        missing += [name for name in names if not (parents[depth] / name).exists()]
        parents[depth + 1 :] = [parents[depth] / names[0]]
    assert not missing


@pytest.mark.parametrize(
    "line", [c for c in COMMANDS if re.search(r"xtsupport (plan|data).*demo", c)]
)
def test_the_quick_commands_work(line, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert not main(line.split()[1:])
    assert capsys.readouterr().out


def test_a_study_of_ones_own_goes_as_the_readme_says(tmp_path, monkeypatch, capsys):
    """From `new` to the plan; the sample of its output too, but for the times of a machine."""
    monkeypatch.setenv("XTSUPPORT_ROOT", "")
    monkeypatch.chdir(tmp_path)
    own = [line for line in COMMANDS if "my_study" in line and line.startswith("xtsupport")]
    for line in own[:3]:  # new, data get, plan; the rest trains
        assert not cli.main(line.replace(" --measure", "").split()[1:]), line  # timed elsewhere
    for line in own[3:]:
        cli.parser().parse_args(line.split()[1:])
    out = capsys.readouterr().out
    sample = next(text for _, text in FENCED if "7 to do; they go to" in text).splitlines()
    kept = [line for line in sample if line != "..." and "timed now" not in line]
    assert len(kept) == 4 and all(line in out for line in kept)


def test_all_notebooks_are_listed():
    listed = set(re.findall(r"\(notebooks/(\w+)\.ipynb\)", TEXT))
    assert listed == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_the_printed_answer_is_that_of_the_demo_study_that_ships():
    """README's sample of the terminal, line by line against the shipped scores."""
    from xtsupport.report.answer import closing
    from xtsupport.report.contents import contents
    from xtsupport.statistics.comparisons import significance
    from xtsupport.statistics.evidence import evidence_of
    from xtsupport.study.execution.progress import answer_lines
    from xtsupport.study.params.loading import load_settings

    shipped = ROOT / "xtsupport" / "demo" / "study"
    settings = load_settings(shipped / "settings.yaml")
    evidence = evidence_of(shipped / "cube", settings, "world")
    text = "\n".join(closing(contents(significance(evidence), evidence)))
    assert [settings.seeds_of(name, "xnli") for name in ("squad", "none")] == [[*range(5)]] * 2
    assert text.count("minus that, on the 5 seeds that all targets have:") == 2  # of 8 on XQuAD
    sample = next(text for _, text in FENCED if "significance done" in text).splitlines()
    shown = [line for line in sample[1:-1] if line.strip() not in ("", "...")]
    assert len(shown) > 6 and set(shown) <= set(answer_lines(text))


def test_what_is_said_of_evaluation_is_what_was_measured():
    """Seconds of the three targets together, 24 examples in each of 11 languages."""
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    row = r"\| (XQuAD|XNLI|UDPOS), 11 languages \| ([^|]+) \| (\w+) \| ([\d.]+) "
    rates = {(task, way, how): float(rate) for task, way, how, rate in re.findall(row, text)}
    sequences = {"XQuAD": 294, "XNLI": 264, "UDPOS": 265}
    padded = {"XQuAD": 384, "XNLI": 128, "UDPOS": 128}

    def seconds(how, way=None):
        return [n / rates[task, way or f"loop padded to {padded[task]}", how]
                for task, n in sequences.items()]  # fmt: skip

    hows = ("float32", "bfloat16")
    whole = [sum(seconds(how)) / sum(seconds(how, "xtsupport")) for how in hows]
    said = " ".join(text.split())
    assert (
        f"is {whole[0]:.1f} times as fast as the padded loops in float32 and {whole[1]:.1f}" in said
    )
    pairs = [(seconds(how, "loop, rows by length"), seconds(how, "xtsupport")) for how in hows]
    sorted_ = [loop / ours for pair in pairs for loop, ours in zip(*pair, strict=True)]
    assert f"sorted by length, {min(sorted_):.1f} to {max(sorted_):.1f} times" in said


def test_what_is_said_of_speed_is_what_was_measured():
    """README's ratios, from the table of benchmarks/training.py."""
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    table = text.partition("## training.py")[2].partition("## packed_study.py")[0]
    lines = [line.split("|") for line in table.splitlines() if re.match(r"\| (SQuAD|MNLI) ", line)]
    rows = {tuple(map(str.strip, line[1:4])): (float(line[5]), float(line[7])) for line in lines}

    def against(way, *precisions):
        """Tokens per second beside Trainer's, and Trainer's memory beside ours: least, most."""
        pairs = [(rows[task, "xtsupport", each], rows[task, way, each])
                 for task in ("SQuAD", "MNLI") for each in precisions]  # fmt: skip
        found = [ours[0] / its[0] for ours, its in pairs], [its[1] / ours[1] for ours, its in pairs]
        return [(round(min(each), 1), round(max(each), 1)) for each in found]

    said = " ".join(TEXT.split())
    assert against("Trainer, tuned", "float32")[0] == (1.1, 1.1)
    assert "takes 1.1 times as long in float32" in said
    assert against("Trainer, tuned", "bfloat16")[0] == (1.3, 1.5)
    assert "1.3 to 1.5 times in bfloat16" in said
    speed, memory = against("Trainer, padded", "float32", "bfloat16")
    assert f"{speed[0]} to {speed[1]} times, with {memory[0]} to {memory[1]} times the mem" in said
