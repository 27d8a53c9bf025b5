"""The generated world's training sets in its other languages: what a machine would translate.

SQuAD and MNLI lie beside the English sets as ``plain_text.qta`` and ``mnli.qta``, row by row the
same, as the translations of XTREME do. The translator knows the grammar and nearly all words. The
noise is in its dictionary, drawn once for each language: it leaves `UNTRANSLATED` of the content
words in English and takes `WRONG` of them for another word of the same class. So a mistake is made
wherever the word occurs, and answers and labels stay as sound as the words are. UDPOS, whose real
training sets people annotated, is free of noise.
"""

import random
from pathlib import Path

from xtsupport.data.world import languages as invented
from xtsupport.data.world.demo_tasks import nli_row, squad_row, udpos_row
from xtsupport.data.world.languages import Language
from xtsupport.data.world.mirror import NLI_FEATURES, SQUAD_FEATURES, UDPOS_FEATURES, write
from xtsupport.data.world.world import World

UNTRANSLATED, WRONG = 0.10, 0.05  # shares of the content words


def write_translations(folder: Path, own: World, seed: int) -> None:
    """Write the training sets of SQuAD, MNLI and UDPOS in every language but English."""
    rng = random.Random(f"translations {seed}")
    for language in (each for code, each in own.languages.items() if code != "en"):
        code, machine = language.code, translator(language, rng)
        questions, pairs = enumerate(own.drawn["squad"]), enumerate(own.drawn["mnli"])
        rows = [squad_row(machine, f"squad-train-{i}", *each) for i, each in questions]
        write(folder, "rajpurkar/squad", f"plain_text.{code}", "train", rows, SQUAD_FEATURES)
        rows = [nli_row(machine, *pair) | {"idx": i} for i, pair in pairs]
        features = NLI_FEATURES | {"idx": "int32"}
        write(folder, "nyu-mll/glue", f"mnli.{code}", "train", rows, features)
        rows = [udpos_row(language, fact) for fact in own.drawn["udpos"]]
        name = f"udpos.{language.name}"
        write(folder, "google/xtreme", name, "train", rows, UDPOS_FEATURES)


def translator(language: Language, rng: random.Random) -> Language:
    """The language as the machine writes it: its grammar, and a dictionary with mistakes."""
    words = dict(language.words)
    classes = {lemma: group for group in invented.WORD_CLASSES for lemma in group}
    for lemma in invented.CONTENT_WORDS:
        luck = rng.random()
        if luck < UNTRANSLATED:
            words[lemma] = lemma
        elif luck < UNTRANSLATED + WRONG:
            other = rng.choice([each for each in classes[lemma] if each != lemma])
            words[lemma] = language.words[other]
    return Language(language.code, words, language.suffixes)
