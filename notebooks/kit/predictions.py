"""Scores a sheet of predictions against the demo study's cube: what was guessed, what was found.

kit/predictions.ipynb is the sheet. The truth is read from the cube that is here (that of the
package, or of the class's own study), never written down.
"""

import pandas as pd

from xtsupport.cube.scores import official, score_table

LIKE = "Kindric"  # differs least from English, and in no way that the others have not as well
ALIKE, LITTLE = 0.8, 0.25  # of the gain there
QUESTIONS = {  # key -> (question, what an answer may be; a number is right within so many points)
    "english": ("Gain of squad over none on XQuAD in English, in points", 10),
    "script": (f"The gain with a different script, beside that of {LIKE}", "amount"),
    "words": ("... with other words", "amount"),
    "endings": ("... with endings on the words", "amount"),
    "order": ("... with the verb last", "amount"),
    "everything": ("... with all of this", "amount"),
    "longer": ("Percent of the gain that training longer (none~squad) reaches as well", 15),
    "tagging": ("Tagging (UDPOS): more than 2 points better, worse, or the same?", "direction"),
    "retrieval": ("Finding translations (Tatoeba): better, worse, or the same?", "direction"),
}
FAMILY = {"script": "Glyphic", "words": "Novaric", "endings": "Markic", "order": "Turnic",
          "everything": "Farric"}  # fmt: skip
WORDS = {"amount": ("alike", "less", "little"), "direction": ("better", "worse", "same")}


def truth(cube: pd.DataFrame, languages: pd.DataFrame, data: str = "world") -> dict:
    """The answers, as the cube has them: points, percent, or one of ``WORDS``."""
    scores = official(score_table(cube), data)
    means = scores.groupby(["task", "language", "condition"])["score"].mean().unstack()
    gain, longer = means["squad"] - means["none"], means["none~squad"] - means["none"]
    family = languages.set_index("code")["family"].drop("en")
    away = {name: gain[name].drop("en", errors="ignore") for name in ("udpos", "tatoeba")}
    found = {"english": gain["xquad"]["en"]}
    per_family = gain["xquad"].drop("en").groupby(family).mean()
    for key, name in FAMILY.items():
        share = per_family[name] / per_family[LIKE]
        found[key] = "alike" if share >= ALIKE else "little" if share < LITTLE else "less"
    others = gain["xquad"].drop("en").mean()
    found["longer"] = 100 * longer["xquad"].drop("en").mean() / others
    for key, name in (("tagging", "udpos"), ("retrieval", "tatoeba")):
        mean = away[name].mean()
        found[key] = "better" if mean > 2 else "worse" if mean < -2 else "same"
    return found


def score_sheet(sheet: dict, found: dict) -> pd.DataFrame:
    """One row per question: guessed, found, right (1 or 0; numbers within the stated distance).

    ValueError for an answer that is none of the allowed words. Blank answers (None) get 0.
    """
    rows = []
    for key, (question, kind) in QUESTIONS.items():
        guess, real = sheet.get(key), found[key]
        if isinstance(kind, str):
            if guess is not None and guess not in WORDS[kind]:
                raise ValueError(f"{key}: {guess!r} is none of {', '.join(WORDS[kind])}")
            right = guess == real
        else:
            right = guess is not None and abs(float(guess) - real) <= kind
            real = round(real)
        rows.append((question, "" if guess is None else guess, real, int(right)))
    return pd.DataFrame(rows, columns=["question", "guessed", "found", "right"])
