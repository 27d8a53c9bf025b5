"""The report's section on published work: its claims tested, its figures beside the study's own."""

from xtsupport.report.contents import Contents
from xtsupport.report.names import side_name
from xtsupport.report.numbers import interval
from xtsupport.report.page import Block, bullets, folded, paragraph, table
from xtsupport.report.robustness import named_tasks
from xtsupport.statistics.claims import beside_published


def literature(found: Contents) -> list[Block]:
    """What published papers claim, as far as this study can say."""
    claims = found.claims
    told = claims[claims["verdict"] != "not testable"]
    shown = told[["text", "verdict", "gain", "published", "note"]].assign(bounds=interval(told))
    silent = bullets(
        f"{row.text}: {row.note.split(';')[0]}."
        for row in claims[claims["verdict"] == "not testable"].itertuples()
    )
    text = (
        f"{len(told)} of {len(claims)} published claims can be tested with the targets and "
        "conditions of this study. Gain: of the treatment that decides, in points; published: the "
        "figure of the paper, where it gives one."
    )
    parts = [paragraph(text)]
    if len(told):
        columns = ["text", "verdict", "gain", "bounds", "published", "note"]
        parts.append(table(shown[columns].rename(columns={"text": "claim", "bounds": "interval"})))
    return [*parts, folded("Claims that this study cannot test", silent), *published(found)]


def published(found: Contents) -> list[Block]:
    """Published averages per target beside the study's own."""
    beside = beside_published(found.evidence.scores)
    if beside.empty:
        return []
    invented = found.languages["note"].eq("invented").all()
    text = (
        "The languages are generated: the targets share only the name and the form with the "
        "published ones, so the figures cannot be compared. This study's are averages over all "
        "languages including English, unlike the scores above."
        if invented
        else "Averages over all languages including English, as published, unlike the scores "
        "above. Figures for other encoders, languages or examples are not comparable; the last "
        "column says where each is from."
    )
    own = "this study, "
    beside["model"] = [
        own + side_name(name.removeprefix(own)) if name.startswith(own) else name
        for name in beside["model"]
    ]
    body = [paragraph(text), table(named_tasks(beside))]
    return [folded("Published averages per target beside this study's own", *body)]
