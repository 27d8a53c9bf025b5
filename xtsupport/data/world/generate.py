"""The generated world on disk: miniature data of every kind in invented languages, as a mirror.

The folder has the names and columns of the real datasets (``rajpurkar/squad``,
``google/xtreme/XQuAD.qta``, ...) and its own ``tasks.csv`` and ``languages.csv``; nothing that
reads it knows that it is generated. The same seed gives the same rows with any version of the
libraries, and with the same version of pyarrow the same bytes.

What to keep in mind when reading results: the raw text contains parallel and code-switched
documents and questions in every language, unlike the web text that XLM-R was trained on.
"""

import hashlib
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from xtsupport import tables
from xtsupport.data.world import demo_tasks, other_tasks, raw_text, translations
from xtsupport.data.world import languages as invented
from xtsupport.data.world.world import Size, World
from xtsupport.folders import PACKAGE, user_cache

SIZES = {"full": Size(5000, 4000, 600), "tiny": Size(60, 48, 12)}


def world_folder(seed: int = 0, size: str = "full") -> Path:
    """The world's mirror folder in the user's cache, generated on first use."""
    folder = user_cache() / f"world-{_version()}-{size}-{seed}"
    if not folder.exists():
        draft = folder.with_name(f"{folder.name}.{os.getpid()}")
        with told(draft):
            write_world(draft, seed, size)
        try:
            draft.rename(folder)
        except OSError:  # another process was faster; both wrote the same bytes
            shutil.rmtree(draft)
    return folder


@contextmanager
def told(folder: Path, every: float = 8) -> Iterator[None]:
    """Every so many seconds that the world takes, how far it is: 30 s on an idle core."""
    begun, ended = time.monotonic(), threading.Event()
    stream = sys.stdout if "ipykernel" in sys.modules else sys.stderr  # red in a notebook

    def tell() -> None:
        while not ended.wait(every):
            try:
                made = sum(1 for _ in folder.rglob("*.parquet"))
            except FileNotFoundError:  # it just got its final name
                return
            print(f"making the invented languages, once: {made} of about 430 files in "
                  f"{time.monotonic() - begun:.0f} s", file=stream, flush=True)  # fmt: skip

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@cache
def _version() -> str:
    """A mark of the code and tables the world is made by, so that an old world is never reused."""
    sources = [*tables.WORLD.glob("*.py"), *tables.WORLD.glob("*.csv"), PACKAGE / "families.csv"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:10]


def write_world(folder: Path, seed: int = 0, size: str = "full") -> None:
    """Write every dataset and both tables of the world below `folder`."""
    rows, languages = SIZES[size], invented.make_languages(seed)
    own = World(languages, random.Random(f"world {seed}"))
    # Evaluation sets come first: what they contain is kept out of all training sets.
    demo_tasks.write_span_targets(folder, own, rows)
    demo_tasks.write_nli(folder, own, rows)
    demo_tasks.write_choice(folder, own, rows)
    demo_tasks.write_tagging(folder, own, rows)
    demo_tasks.write_parallel_sentences(folder, own, rows)
    # Random numbers of its own: a change to a task leaves the text, and what learned from it.
    raw_text.write_raw_text(folder, World(languages, random.Random(f"raw text {seed}")), rows)
    other_tasks.write_others(folder, own, rows, seed)
    translations.write_translations(folder, own, seed)
    for table in tables.WORLD.glob("*.csv"):
        shutil.copy(table, folder)
