"""CUDA graphs: the layers of an encoder are recorded once for each shape of a batch, forwards and
backwards, and started at once from then on.

In small steps of large encoders a GPU waits for the host, which starts some 2,300 kernels a step.
`benchmarks/gpu.py` measures what is saved.
"""

from contextlib import contextmanager, nullcontext

import torch

from xtsupport.errors import UserError

UNIT = 64  # sequences are padded to multiples of so many tokens: few shapes
SHAPES = 32  # are recorded; a step of any other shape starts its kernels one by one


@contextmanager
def recorded(encoder, wanted: bool):
    """Within it the layers of an encoder on a GPU run as CUDA graphs, if `wanted`; UserError where
    they are not a module of their own."""
    if not wanted or encoder.device.type != "cuda":
        yield
        return
    layers = getattr(encoder, "encoder", None)
    if layers is None:
        kind = type(encoder).__name__
        raise UserError(f"cuda_graphs: the layers of {kind} cannot be recorded; set it to false")
    compiled = torch.compile(layers.forward, backend="cudagraphs", dynamic=False)
    with torch._dynamo.config.patch(recompile_limit=SHAPES):
        layers.forward = compiled
        try:
            yield
        finally:
            del layers.forward


def one_by_one(layers_are_recorded: bool):
    """A context in which kernels are started one by one all the same."""
    if not layers_are_recorded:  # what would be asked takes a second to import
        return nullcontext()
    return torch.compiler.set_stance("force_eager")
