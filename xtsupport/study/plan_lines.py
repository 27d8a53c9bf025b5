"""What `xtsupport plan` prints: the nodes, what a study costs, and what it still needs; and what
`xtsupport run` warns of before it starts."""

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.report.numbers import counted
from xtsupport.study import runs
from xtsupport.study.cost import Estimate, here
from xtsupport.study.devices import DEVICES, Device
from xtsupport.study.execution.gpu_locks import devices
from xtsupport.study.execution.state import stale
from xtsupport.study.memory import USABLE, needed, remedy, too_little_memory
from xtsupport.study.plan import Study
from xtsupport.training import precision


def node_lines(study: Study, planned: bool = True) -> list[str]:
    """A line per node and one for all; planned: False for a study whose data are not here."""
    counts = f"{len(study.plan.runs)} runs in {len(study.plan.nodes)} nodes"
    if not planned:
        return [f"{counts}, once the data are here:"]
    waiting = {node.name for node in stale(study)}
    lines = [
        f"{node.name:<34}{node.notebook:<28}{len(node.runs):>3} "
        f"{'run ' if len(node.runs) == 1 else 'runs'}  "
        f"{'to do' if node.name in waiting else 'done'}"
        for node in study.plan.nodes
    ]
    return [*lines, f"{counts}, {len(waiting)} to do; they go to {folders.shown(study.folder)}"]


def cost_lines(settings, made, measure: bool = False, problems=()) -> list[str]:
    """What runs cost, or why that is unknown; then what is missing, `problems` among it.

    measure: by steps that are timed on the device at hand.
    """
    try:
        found, at_hand = Estimate(settings, made), None
        if measure:
            from xtsupport.study.timing import timed

            at_hand = timed(found)
        return [*estimated(found, at_hand), *missing_lines(problems, too_little_memory(found))]
    except UserError as error:
        return [f"cost unknown: {problem}" for problem in error.problems]


def estimated(found: Estimate, at_hand: Device | None = None) -> list[str]:
    """The costs of an estimate; `at_hand` as in `here` unless given."""
    own, tokens = found.settings, found.settings.evaluation.batch_tokens
    million, gib = found.shape.weights / 1e6, needed(found) / 2**30
    done = sum(map(runs.is_whole, found.runs))
    way = "the encoder's tokenizer is not here (`xtsupport data get` fetches it)"
    if own.encoder == "pretrain":
        way = "phase 1 is still to make the tokenizer"
    notes = {
        f"{', '.join(sorted(found.guessed))}: estimated from published sizes and "
        "xtsupport/lengths.csv, not from the rows": found.guessed,
        "trim_vocabulary: encoder, disk, memory and time are those of the whole vocabulary, and "
        "will be less": own.trim_vocabulary,
        f"{way}; tokens were estimated from words": not found.tokenizer and found.data != "hub",
        f"the costs are those of all {len(found.runs)} runs, {done} of them done": done,
    }
    return [
        f"encoder      {own.encoder}: {million:,.1f} million weights",
        *(phase_line(found, phase) for phase in dict.fromkeys(w.phase for w in found.works)),
        f"disk         {found.disk() / 1e9:,.1f} GB",
        f"memory       {gib:,.1f} GiB of a GPU for batches of {tokens} tokens (not measured)",
        *(hours_line(found, each) for each in (at_hand or here(own.resolved_precision), *DEVICES)),
        *(f"note: {text}" for text, holds in notes.items() if holds),
    ]


def phase_line(found: Estimate, phase: str) -> str:
    """Runs, tokens and operations of a phase."""
    of = [work for work in found.works if work.phase == phase]
    trained, evaluated = sum(w.trained for w in of), sum(w.evaluated for w in of)
    done = sum(work.training + work.evaluation for work in of)
    return (
        f"{phase:<13}{len(of)} run{'s' * (len(of) > 1)}, "
        f"{trained / 1e6:,.1f} million tokens trained on, "
        f"{evaluated / 1e6:,.1f} evaluated, {done / 1e12:,.1f} Tflop"
    )


def hours_line(found: Estimate, device: Device) -> str:
    """The time on a device, and whether the study fits on it."""
    hours = found.hours(device)
    time = f"{hours:,.1f} hours" if hours >= 1 else counted(round(60 * hours), "minute")
    small = device.memory and needed(found) > USABLE * device.memory
    less = f"; too little memory: {remedy(found, device.memory)}" if small else ""
    return f"time         {time} on {device.name} ({device.how}){less}"


def missing_lines(problems: list[str], memory: str) -> list[str]:
    """Numbered lines in the order in which one gets it: data, encoder, memory, and last what has to
    be bought."""
    bought = [each for each in problems if each.startswith("ccg:")]
    encoder = [each for each in problems if each.startswith("encoder ")]
    data = [each for each in problems if each not in (*bought, *encoder)]
    found = [*data, *encoder, *([memory] if memory else []), *bought]
    return [f"missing {k:<5}{text}" for k, text in enumerate(found, 1)]


def unfit(study: Study) -> list[str]:
    """A line where this machine is slow in a study's precision, and one where its GPU is too small;
    UserError where it may not run in that precision."""
    own, retrieval = study.settings.precision, study.settings.retrieval.precision
    both = (own, study.settings.resolved_precision), (retrieval, retrieval)
    lines = [line for asked, used in both for line in precision.check(asked, used)][:1]
    if devices() and (text := too_little_memory(Estimate(study.settings, study.plan.runs))):
        lines.append(f"warning: {text}")
    return lines
