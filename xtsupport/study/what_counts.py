"""Which runs that are here count, and the part of a study that they make."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from xtsupport.report.numbers import counted
from xtsupport.sides import Side, bare, short_name, side
from xtsupport.study import runs
from xtsupport.study.finished import as_chosen, scored_here
from xtsupport.study.labels import Done
from xtsupport.study.my_runs import finished
from xtsupport.study.narrowing import named, with_analysis
from xtsupport.study.plan import Study, alone, study_of
from xtsupport.study.run_store import intact
from xtsupport.study.runs import SCORED, Run

Tested = dict[str, dict[Side, set]]  # target -> sides with runs on it -> their seeds (None: any)


def with_scores(study: Study) -> list[Run]:
    """The runs of a study that have scores, done or not."""
    return [run for run in study.plan.runs if run.phase in SCORED]


def counting(study: Study) -> dict[Run, Path]:
    """The runs done here and their folders, where they count.

    They count when they are all that the study has, or two conditions can be compared; one seed
    will do. Else a cube counts, as for the demo study in the package.
    """
    scored = [runs.interactive(run) for run in with_scores(study)]
    there = scored_here(scored)
    enough = len(there) == len(scored) or comparable(study, there)
    return there if enough and not study.shipped else {}


def comparable(study: Study, there: Iterable[Run]) -> bool:
    """Whether a contrast, declared or usual, has both sides on the same target and seed."""
    from xtsupport.statistics.contrasts import default_contrasts

    every = tested(there)
    usual = default_contrasts(set().union(*every.values()))
    return any(met(pair, every) for pair in [*study.settings.analysis.contrasts, *usual])


def met(pair: Sequence, every: Tested) -> bool:
    """Whether the sides of a pair, or their names, have a seed in common on any target."""
    return any(paired(pair, seeds) for seeds in every.values())


def paired(pair: Sequence, seeds: dict[Side, set]) -> bool:
    """Whether all sides of a pair have a seed in common; one without phase 2 serves every seed."""
    own = [seeds.get(side(one), set()) for one in pair]
    given = [each for each in own if None not in each]
    return all(own) and (not given or bool(set.intersection(*given)))


def tested(there: Iterable[Run]) -> Tested:
    """What some runs were evaluated on."""
    return by_target(
        (name, (run.condition, run.variant), None if alone(run) else run.seed)
        for run in there
        for name in run.settings["targets"]
    )


def by_target(scored: Iterable[tuple[str, Side, int | None]]) -> Tested:
    """The same from triples of target, side and seed."""
    found: Tested = {}
    for name, one, seed in scored:
        found.setdefault(name, {}).setdefault(one, set()).add(seed)
    return found


def counts(study: Study, there: Mapping[Run, Path]) -> list[str]:
    """How much of a study was run here, and what that is worth."""
    planned = [run for run in with_scores(study) if not run.listed]
    others = [run for run in there if run.listed]
    usual = len(there) - len(others)
    seeds: dict[str, set[int]] = {}
    for run in there:  # retrieval without phase 2 has no seeds
        seeds.setdefault(run.side, set()).update([] if alone(run) else [run.seed])
    chosen = study.settings.chosen
    name = study.settings.study + f", with {', '.join(chosen)}" * bool(chosen)
    lines = [f"study {name}: {usual} of {counted(len(planned), 'run')} with scores"]
    if others or usual < len(planned):
        every = (f"{one} (seed {', '.join(map(str, sorted(own))) or 'any'})"
                 for one, own in seeds.items())  # fmt: skip
        lines[0] += f" and {len(others)} with other settings" * bool(others)
        lines[0] += f" were done here: {'; '.join(every)}"
    made = [
        Done(each, runs.read_record(each) or {}) for run, each in there.items() if not run.listed
    ]
    if any(each.from_package for each in made):
        lines.append("some start from the phase 2 that comes with the package; `xtsupport run` and "
                     "`status` do not count these, as a study does its own phase 2")  # fmt: skip
    if others:
        way = next(as_chosen(study, others), "")
        hint = f"; to look at one alone, set {way} in the parameters" * bool(way)
        lines.append(f"a name in braces has other settings than the study{hint}")
    few = {1: "one seed: a first impression, not evidence", 2: "two seeds: too few for a claim"}
    for number, words in few.items():
        if names := [name for name, own in seeds.items() if len(own) == number]:
            some = len(names) < sum(map(bool, seeds.values()))
            lines.append(words + f" ({'; '.join(names)})" * some)
    return lines


def beside(study: Study, others: Sequence[Run]) -> Study:
    """The study with further runs; itself where there are none."""
    if not others:
        return study
    return replace(study, plan=replace(study.plan, runs=(*study.plan.runs, *others)))


def part_of(study: Study, there: Collection[Run]) -> Study:
    """The part of a study whose runs are there, with the comparisons that they allow; the study
    itself if all are.

    A condition that was only run with other settings is compared as usual, under its name in
    braces; such a comparison was never declared.
    """
    if len(there) == len(with_scores(study)):
        return study
    part = narrowed(study, tested(there), {run.seed for run in there})
    return beside(part, [run for run in there if run.listed])


def held(study: Study) -> Study:
    """The part of a study that its own cube holds, which may be that of `--only` a part."""
    from xtsupport.cube.store import read_cube

    names = ["task", "condition", "variant", "seed"]
    rows = read_cube(intact(study.folder / "cube"), columns=names).drop_duplicates()
    every = by_target(
        (row.task, (row.condition, row.variant), row.seed) for row in rows.itertuples()
    )
    have = set().union(*every.values())
    whole = all({*map(side, pair)} <= have for pair in study.settings.analysis.contrasts)
    return study if whole else narrowed(study, every, {*rows["seed"]})


def narrowed(study: Study, every: Tested, seeds: set[int]) -> Study:
    """The part of a study with these sides and seeds, and the comparisons that they allow."""
    from xtsupport.statistics.contrasts import default_contrasts

    have = set().union(*every.values())
    names = {name for name, _ in have}
    has: dict[str, set] = {"targets": {*every}, "seeds": seeds, "conditions": {*map(bare, names)}}
    kept = {key: [n for n in named(study.settings)[key] if n in has[key]] for key in has}
    words = [f"{key}={','.join(map(str, values))}" for key, values in kept.items()]
    part = study_of(study.whole or study.settings, study.params, words)
    primary, declared = part.settings.analysis.primary, part.settings.analysis.contrasts
    contrasts = [pair for pair in declared if met(pair, every)]
    if contrasts:  # else all that fit the cube
        new = {name for name in names if bare(name) not in names}
        usual = default_contrasts(sorted(have))
        lone = [pair for pair in usual if new & {name for name, _ in pair}]
        contrasts += [[*map(short_name, pair)] for pair in lone]
    if primary:
        pair, seeds_of = (primary.treatment, primary.baseline), every.get(primary.target, {})
        primary = primary if paired(pair, seeds_of) else None
    settings = with_analysis(part.settings, contrasts, primary)
    if primary and "seeds" not in settings.late and lacking(study, primary, seeds_of):
        settings._planned["changed"] = [*settings._planned.get("changed", ()), "seeds"]
    return replace(part, settings=settings)


def lacking(study: Study, primary, there: dict[Side, set]) -> bool:
    """Whether a side of the primary comparison lacks some of its planned seeds on the target."""
    planned = tested(with_scores(study)).get(primary.target, {})
    sides = [side(each) for each in (primary.treatment, primary.baseline)]
    seeds = [(planned.get(one, set()), there.get(one, set())) for one in sides]
    return any(None not in wanted and not wanted <= have for wanted, have in seeds)


def with_other_settings(study: Study, made: Iterable[Done]) -> tuple[list[Run], list[str]]:
    """Of a survey of the study, the finished runs with scores and other settings, as conditions
    such as ``squad{target.epochs=4.0}``; and a line on those that cannot stand beside it, if any:
    of other conditions, languages, examples or seeds."""

    def examined(settings: dict) -> list:
        return [settings.get(key) for key in ("targets", "max_clusters", "eval_splits")]

    planned, own = {run.recipe for run in study.plan.runs}, study.settings
    usual = {each.training_task: examined(each.settings) for each in with_scores(study)}
    fit, twice = [], []
    apart: dict[str, Run] = {}
    for each in finished(made, *SCORED):
        record = each.record
        same = examined(record["settings"]) == usual.get(record["training_task"])
        same &= record["condition"] in own.conditions and record["seed"] in own.every_seed
        if same and {"start", "again"} & {*each.departs}:
            twice.append(f"{each.label} (seed {record['seed']})")
        elif same and each.departs:
            fit.append(each.run)
        elif not study.whole and record.get("recipe") not in planned:
            apart.setdefault(f"{each.label} (seed {record['seed']})", each.run)
    told = "left out, with other languages, examples, conditions or seeds than the study: "
    way = next(as_chosen(study, apart.values()), "")
    lines = [told + ", ".join(apart) + f"; to see some, set {way}" * bool(way)] * bool(apart)
    again = "left out, as another run has the same settings: "
    return fit, lines + [again + ", ".join(twice)] * bool(twice)
