"""What training takes of a GPU's memory, and what makes it fit."""

from xtsupport.study.cost import Estimate

USABLE = 0.9  # share of a GPU's memory; the rest is the driver's, and fragments
STATE = 16  # bytes a trained weight takes on the device: itself, gradient, two moments, float32
ACTIVATION = 34  # bytes x width that a token leaves in each layer for the way back, in 16 bits


def needed(
    study: Estimate, tokens: int = 0, half: bool | None = None, checkpointing: bool | None = None
) -> int:
    """Bytes of a GPU while training: weights and their state, activations of `tokens`.

    Computed, for attention that keeps no scores; a CPU's process takes several times as much.
    The arguments replace the study's own: tokens at a time, bfloat16, checkpointing.
    """
    shape, own = study.shape, study.settings.evaluation
    half = study.settings.resolved_precision == "bfloat16" if half is None else half
    checkpointing = own.checkpointing if checkpointing is None else checkpointing
    phases = (study.settings.target, study.settings.intermediate)
    frozen = all(phase.freeze_embeddings for phase in phases)
    trained = shape.layer_weights if frozen else shape.weights
    per_token = ACTIVATION * shape.width * shape.layers
    if checkpointing:  # what goes into each layer, and one layer whole
        per_token = (ACTIVATION + 2 * shape.layers) * shape.width
    activations = (1 if half else 2) * per_token * (tokens or own.batch_tokens)
    return 4 * shape.weights + (STATE - 4) * trained + activations


def too_little_memory(study: Estimate) -> str:
    """Why a study does not fit on the GPU at hand, and what makes it fit; empty if it does, or
    where there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return ""
    there = torch.cuda.get_device_properties(0).total_memory
    if needed(study) <= USABLE * there:
        return ""
    return (
        f"memory: training takes about {needed(study) / 2**30:,.1f} GiB, this GPU has "
        f"{there / 2**30:,.1f}; {remedy(study, there)}"
    )


def remedy(study: Estimate, there: int) -> str:
    """Settings with which a study fits into `there` bytes, or what else to do.

    From the mildest: more pieces a batch (gradient accumulation) down to one window; bfloat16 as
    well; checkpointing as well, which takes a third more time.
    """
    own, tokens = study.settings, study.settings.evaluation.batch_tokens
    sizes = [tokens]
    while sizes[-1] > 2 * longest(own):
        sizes.append(sizes[-1] // 2)
    half = ["precision=bfloat16"] * (own.resolved_precision == "float32")
    whole = [*half, "evaluation.checkpointing=true"]
    for words, *changed in (([], None, None), (half, True, None), (whole, True, True)):
        for size in sizes:
            if needed(study, size, *changed) <= USABLE * there:
                pieces = [f"evaluation.batch_tokens={size}"] if size != tokens else []
                return " ".join(f"--set {word}" for word in [*pieces, *words])
    return "no setting makes it fit: use a smaller encoder, or freeze_embeddings"


def longest(settings) -> int:
    """Tokens of the longest training window of a study."""
    parts = [settings.intermediate, settings.target]
    parts += [*settings.tasks.values(), *settings.intermediate_tasks.values()]
    return max(part.max_length or 0 for part in parts)
