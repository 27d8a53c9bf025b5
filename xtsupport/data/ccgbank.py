"""CCG supertagging from a user's own copy of CCGbank (LDC2005T13, sold by the LDC).

Put it at `ccgbank/` in the mirror folder, or in $XTSUPPORT_DATA (default: ./data), in either form:

    ccgbank/data/AUTO/02/wsj_0200.auto   the corpus as it is distributed
    ccgbank/train.txt dev.txt test.txt   one sentence a line, blanks between `word|POS|supertag`

Splits of the corpus (Hockenmaier and Steedman 2007): sections 02-21 train, 00 dev, 23 test.
"""

import re
from pathlib import Path

import pyarrow as pa

from xtsupport.errors import UserError, unknown
from xtsupport.files import read_text

SECTIONS = {"train": [f"{k:02}" for k in range(2, 22)], "dev": ["00"], "test": ["23"]}
# A leaf of an AUTO derivation: <L category modified-POS original-POS word predicate-argument>.
LEAF = re.compile(r"<L (\S+) \S+ \S+ (\S+) \S+>")


def files(folder: Path, split: str) -> tuple[Path, ...]:
    """The split's files, () where the folder has none; UserError for an unknown split."""
    if split not in SECTIONS:
        raise UserError(f"ccg: {unknown('split', split, SECTIONS)}")
    plain = folder / f"{split}.txt"
    if plain.is_file():
        return (plain,)
    sections = [folder / "data" / "AUTO" / section for section in SECTIONS[split]]
    return tuple(path for section in sections for path in sorted(section.glob("*.auto")))


def missing(folder: Path, split: str) -> str:
    """What to get and where to put it."""
    return (
        f"ccg: no {split!r} split in {folder}: buy CCGbank (LDC2005T13) from the LDC and put it "
        f"there as data/AUTO/<section>/*.auto, or put {split}.txt there, one sentence a line, "
        "word|POS|supertag separated by spaces"
    )


def read(paths: tuple[Path, ...]) -> pa.Table:
    """Columns tokens and tags (both lists of str), one row a sentence."""
    sentences = [sentence for path in paths for sentence in _sentences(path)]
    return pa.table({
        "tokens": pa.array([[w for w, _ in s] for s in sentences], pa.list_(pa.string())),
        "tags": pa.array([[t for _, t in s] for s in sentences], pa.list_(pa.string())),
    })  # fmt: skip


def _sentences(path):
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if path.suffix == ".auto":
            if line.startswith("(<"):
                yield [(word, tag) for tag, word in LEAF.findall(line)]
        elif line.strip():
            triples = [item.rsplit("|", 2) for item in line.split()]
            if any(len(triple) != 3 for triple in triples):
                raise UserError(f"{path}, line {number}: expected word|POS|supertag")
            yield [(word, tag) for word, _, tag in triples]
