"""What texts name is there: files, modules, commands, their options, settings, make's targets."""

import json
import re
from pathlib import Path

import pytest
from test_imports import defined, module_file

from xtsupport.study import cli
from xtsupport.study.params.settings import Settings

ROOT = Path(__file__).parents[1]
WHERE = ("*.md", "Makefile", ".ci/*", ".github/*/*", "pyproject.toml", "params/*.yaml",
         "notebooks/**/*", "benchmarks/*", "docs/*", "outputs/*.md", "outputs/reference/*.md",
         "xtsupport/**/*.py", "xtsupport/**/*.md")  # fmt: skip
KINDS = {"", ".md", ".py", ".yaml", ".yml", ".toml", ".ipynb"}
OWN = r"benchmarks|docs|tests|params|notebooks|xtsupport|kit|exercises|solutions|\.ci"
FILE = re.compile(rf"(?<![\w/.{{}}-])((?:\.\./)*(?:{OWN})/[\w./-]*\.\w+)(?![\w{{}}/*])")
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
MODULE = re.compile(r"(?<![\w/.@-])xtsupport(?:\.[a-z]\w*)+")
REST = r"((?:\\\n|[^\n`|;&()\"])*)"  # of a command
VERB = re.compile(rf"xtsupport ((?:data )?[a-z]+)\b{REST}")
SCRIPT = re.compile(rf"((?:benchmarks|docs|kit)/\w+\.py){REST}")
OPTION = re.compile(r"(?<=[\s\[])--[a-z][\w-]*")
PLACES = (ROOT, ROOT / "xtsupport", ROOT / "notebooks", ROOT / "xtsupport" / "study")
MADE = {  # what a user, a test or the site will have
    "params/my_study.yaml", "params/toy.yaml", "tests/test_NAME.py", "notebooks/NOTEBOOK.ipynb",
    "notebooks/00_start_here.html", "outputs/reference/figures/answer.svg",
}  # fmt: skip


def text_of(path: Path) -> str:
    """A file's text; a notebook's cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def is_name(dotted: str) -> bool:
    """Whether a module, or something in one, has this name."""
    module, _, name = dotted.rpartition(".")
    file = module_file(module)
    return module_file(dotted) is not None or (file is not None and name in defined(file))


def is_setting(key: str) -> bool:
    """Whether a params file may have this key; of groups the second part counts, too."""
    name, _, rest = key.partition(".")
    kind = getattr(Settings.model_fields.get(name), "annotation", None)
    group = getattr(kind, "model_fields", None)
    return kind is not None and (not rest or group is None or rest.partition(".")[0] in group)


def absent(path: Path, text: str) -> list[str]:
    """What a text names that is not there."""
    files = FILE.findall(text) + (LINK.findall(text) if path.suffix in (".md", ".ipynb") else [])
    found = [file for file in files if file not in MADE
             and not any((place / file).exists() for place in (path.parent, *PLACES))]  # fmt: skip
    found += [name for name in MODULE.findall(text) if not is_name(name)]
    for verb, rest in VERB.findall(text):
        options = {word for word, _ in cli.VERBS[verb].arguments} if verb in cli.VERBS else set()
        if verb != "lab":  # which hands its options on
            found += [f"{verb} {o}" for o in OPTION.findall(rest) if o not in options]
    for script, rest in SCRIPT.findall(text):
        code = next((p / script for p in PLACES if (p / script).is_file()), path).read_text("utf-8")
        found += [f"{script} {o}" for o in OPTION.findall(rest) if f'"{o}"' not in code]
    keys = re.findall(r"--set ([a-z][\w.]*)=", text)
    found += [f"--set {key}" for key in keys if not is_setting(key)]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    made = re.findall(r"(?:^|`|\s)make ([a-z-]+)(?=`|\s+#)", text, re.M)
    found += [f"make {target}" for target in made if target not in targets]
    return list(dict.fromkeys(found))


def test_what_texts_name_is_there():
    texts = {path: text_of(path) for pattern in WHERE for path in ROOT.glob(pattern)
             if path.is_file() and path.suffix in KINDS}  # fmt: skip
    assert len(texts) > 250
    wrong = {path.name: absent(path, text) for path, text in texts.items()}
    assert {name: lacking for name, lacking in wrong.items() if lacking} == {}


def test_every_benchmark_is_in_their_readme():
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert set(re.findall(r"\w+\.py", text_of(ROOT / "benchmarks/README.md"))) >= scripts


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("[here](docs/where.md), [there](docs/away.md#x), `tests/test_away.py`",
         ["docs/away.md", "tests/test_away.py"]),
        ("`xtsupport.study.cli`, `xtsupport.data.load`, `xtsupport.study.away`",
         ["xtsupport.study.away"]),
        ("xtsupport run params/demo.yaml --jobs 2 \\\n  --level 3", ["run --level"]),
        ("`xtsupport data get FILE --to DIR --seed 1`; xtsupport lab --no-browser",
         ["data get --seed"]),
        ("python benchmarks/scale.py params/paper.yaml [--devices 2] [--data X]",
         ["benchmarks/scale.py --data"]),
        ("--set target.epochs=2 --set tasks.mnli.max_rows=9 --set target.epoch=2 --set away=1",
         ["--set target.epoch", "--set away"]),
        ("`make study`, `make money`", ["make money"]),
    ],
)  # fmt: skip
def test_what_went_away_is_seen(text, lacking):
    assert absent(ROOT / "README.md", text) == lacking
