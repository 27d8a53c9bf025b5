"""What a study still needs before it can run here, in the order in which one gets it.

`estimate` is the one of `cost`, which takes the words for too little memory from here.
"""

from collections.abc import Iterator

USABLE = 0.9  # share of a GPU's memory; the rest is the driver's, and fragments


def missing_lines(problems: list[str], memory: str) -> list[str]:
    """Numbered lines: data, encoder, memory, and last what has to be bought."""
    bought = [each for each in problems if each.startswith("ccg:")]
    encoder = [each for each in problems if each.startswith("encoder ")]
    data = [each for each in problems if each not in (*bought, *encoder)]
    found = [*data, *encoder, *([memory] if memory else []), *bought]
    return [f"missing {k:<5}{text}" for k, text in enumerate(found, 1)]


def too_little_memory(estimate) -> str:
    """Why a study does not fit on the GPU at hand, and what makes it fit; empty if it does, or
    where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return ""
    there = torch.cuda.get_device_properties(0).total_memory
    if estimate.memory() <= USABLE * there:
        return ""
    return (
        f"memory: training takes about {estimate.memory() / 2**30:,.1f} GiB, this GPU has "
        f"{there / 2**30:,.1f}; {remedy(estimate, there)}"
    )


def remedy(estimate, there: int) -> str:
    """Settings with which a study fits into `there` bytes, or what else to do."""
    found = next((words for words, size in changes(estimate) if size <= USABLE * there), None)
    if found is None:
        return "no setting makes it fit: use a smaller encoder, or freeze_embeddings"
    return " ".join(f"--set {word}" for word in found)


def changes(estimate) -> Iterator[tuple[list[str], int]]:
    """(settings, bytes) from the mildest: more pieces a batch (gradient accumulation) down to one
    window; bfloat16 as well; checkpointing as well, which takes a third more time."""
    own = estimate.settings
    tokens = own.evaluation.batch_tokens
    sizes = [tokens]
    while sizes[-1] > 2 * longest(own):
        sizes.append(sizes[-1] // 2)
    full = own.resolved_precision == "float32"
    for half, again in ((False, False), (True, False), (True, True)):
        if half and not full and not again:
            continue
        words = ["precision=bfloat16"] * (half and full)
        words += ["evaluation.checkpointing=true"] * again
        for size in sizes:
            more = [f"evaluation.batch_tokens={size}"] if size != tokens else []
            yield [*more, *words], estimate.memory(size, half or not full, again)


def longest(settings) -> int:
    """Tokens of the longest training window of a study."""
    parts = [settings.intermediate, settings.target]
    parts += [*settings.tasks.values(), *settings.intermediate_tasks.values()]
    return max(part.max_length or 0 for part in parts)
