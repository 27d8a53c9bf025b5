"""Figures of what goes on inside an encoder: where it looks, and what lies next to what."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xtsupport.report.names import level_order, side_name
from xtsupport.report.style import family_colours, group_markers, new_figure


def attention_map(shares: np.ndarray, heads: Sequence[str], pieces: Sequence[str]) -> Figure:
    """How much each head takes from each piece of a text: shares (heads, pieces), rows sum to 1."""
    from seaborn import heatmap  # here, as no other figure needs it and the import takes a second

    figure, (panel,) = new_figure(
        "Where the masked word looks: one row per attention head",
        "A dark cell: this head takes most from that piece. Look for heads with one dark cell, "
        "and what is there.",
        width=max(6.4, 2.0 + 0.34 * len(pieces)),
        height=2.4 + 0.26 * len(heads),
    )
    most = zip(heads, shares.max(axis=1), shares.argmax(axis=1), strict=True)
    figure.words += "".join(f" {head}: {share:.2f} from {pieces[i]};" for head, share, i in most)
    look = {"cmap": "Blues", "vmin": 0, "vmax": 1, "linewidths": 0.5}
    heatmap(shares, ax=panel, **look, xticklabels=pieces, yticklabels=heads,
            cbar_kws={"label": "share", "pad": 0.02})  # fmt: skip
    panel.grid(visible=False)
    panel.tick_params("x", rotation=90)
    panel.tick_params("y", rotation=0)
    return figure


def vector_map(places: pd.DataFrame, languages: pd.DataFrame, about: str = "words") -> Figure:
    """Vectors in the plane: a mark per text, translations joined by a line, a panel per condition.

    `places`: x, y, language, meaning (equal for translations; written beside the English mark) and,
    where there are several, condition. `languages` has the columns of languages.csv.
    """
    places = places if "condition" in places else places.assign(condition="")
    conditions = list(dict.fromkeys(places["condition"]))
    figure, panels = new_figure(
        f"A map of {about}: translations are joined by a line",
        "Short lines: translations are close, whatever their language. Separate clouds of one "
        "colour: the encoder sorts by language first. Near on the map is roughly near in "
        "truth: two directions of many are shown.",
        len(conditions),
        len(conditions),
        width=max(7.0, 2.0 + 4.4 * len(conditions)),
        height=5.2,
    )
    table = languages.set_index("code")
    colours, marks = family_colours(languages), group_markers(languages)
    for panel, condition in zip(panels, conditions, strict=True):
        part = places[places["condition"] == condition]
        figure.words += f" {side_name(condition) if condition else about}: {_closeness(part)}"
        for meaning, same in part.groupby("meaning", sort=False):
            centre = same[["x", "y"]].mean()
            for row in same.itertuples():
                panel.plot([centre.x, row.x], [centre.y, row.y], color="#BBBBBB", linewidth=0.7)
            panel.annotate(str(meaning), centre, fontsize=8, ha="center", va="center", zorder=5,
                           bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none",
                                 "alpha": 0.7})  # fmt: skip
        groups = part["language"].map(table["group"])
        for group in level_order(groups, languages):
            mine = part[groups == group]
            panel.plot(mine["x"], mine["y"], marks[group], color=colours[group], markersize=5,
                       label=group)  # fmt: skip
        panel.set(title=side_name(condition) if condition else "", xticks=[], yticks=[])
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize="small")
    return figure


def _closeness(part: pd.DataFrame) -> str:
    """What is on a map, and how close translations are on it, in words."""
    spot = part[["x", "y"]]
    own, all_ = spot.groupby(part["meaning"]).transform("mean"), spot.mean()
    share = np.hypot(*(spot - own).T.to_numpy()).sum() / np.hypot(*(spot - all_).T.to_numpy()).sum()
    shown = ", ".join(map(str, part["meaning"].unique()))
    return f"{shown}; {share:.0%} as far from the middle of their translations as from the map's;"
