"""The sizes of encoders, and how long a training step of one takes on a device.

Operations (counted as in Kaplan et al. 2020, arXiv 2001.08361, section 2.1): a sequence of n tokens
costs 2 x n operations for each weight of the layers, and 4 x n^2 x width for attention in each
layer; training costs three times that. Embeddings (look-ups) and heads (small) are left out.

A step takes as long as the slower of the host, which starts its kernels, and the device, which runs
them. The device multiplies and moves memory: whatever the batch, every trained weight is read and
written by the optimiser, by clipping, and by the casts to 16 bits. In small steps of large encoders
on GPUs, moving memory and starting kernels take most of the time. benchmarks/gpu.py measures this.
"""

from dataclasses import dataclass, field

import numpy as np

# Of an eager training step in bfloat16: what PyTorch starts for each layer, forwards, backwards and
# in the optimiser, and for all else (tests/test_cost.py counts).
KERNELS_PER_LAYER, KERNELS_BESIDE = 115, 64
LAUNCH = 20e-6  # seconds until a host has started a kernel: measured on that of an H200
RECORDED = 0.35  # of them are left to start where layers are CUDA graphs: 24 of 69 ms on an H100
# Bytes that a step moves for each trained weight, in float32: AdamW reads weight, gradient and two
# moments and writes all but the gradient (28), clipping reads the gradient twice and writes it once
# (12), the way back writes it (4); and under bfloat16, of each weight that is multiplied: its cast
# (6), and that of its gradient (4 of 8; the other 4 are counted).
MOVED, CAST = 44, 10


@dataclass(frozen=True)
class Shape:
    """The size of an encoder."""

    layers: int
    width: int
    feed_forward: int
    vocabulary: int

    @property
    def layer_weights(self) -> int:
        """Weights of all layers: four square matrices of attention, two of the feed-forward."""
        return self.layers * (4 * self.width**2 + 2 * self.width * self.feed_forward)

    @property
    def weights(self) -> int:
        """All weights, with word embeddings."""
        return self.layer_weights + self.vocabulary * self.width

    def kernels(self, recorded: bool = False) -> float:
        """Kernels that a training step starts, with its layers `recorded` as CUDA graphs or not."""
        return (KERNELS_PER_LAYER * self.layers + KERNELS_BESIDE) * (RECORDED if recorded else 1)

    def operations(self, sizes: np.ndarray) -> float:
        """Floating-point operations of the encoder over sequences of sizes (n,), one pass."""
        sizes = np.asarray(sizes, dtype=np.float64)
        attention = 4 * self.layers * self.width * (sizes**2).sum()
        return float(2 * self.layer_weights * sizes.sum() + attention)

    def moved(self, frozen: bool, half: bool) -> int:
        """Bytes that a training step moves for the weights, with the embeddings `frozen` or not,
        under bfloat16 (`half`) or not."""
        trained = self.layer_weights if frozen else self.weights
        return MOVED * trained + (CAST * self.layer_weights if half else 0)


SHAPES = {  # of the hub's encoders, for machines that cannot ask
    "FacebookAI/xlm-roberta-large": Shape(24, 1024, 4096, 250_002),
    "FacebookAI/xlm-roberta-base": Shape(12, 768, 3072, 250_002),
    "google-bert/bert-base-multilingual-cased": Shape(12, 768, 3072, 119_547),
    "microsoft/mdeberta-v3-base": Shape(12, 768, 3072, 251_000),
    "microsoft/Multilingual-MiniLM-L12-H384": Shape(12, 384, 1536, 250_037),
    "offline-e5": Shape(12, 384, 1536, 250_037),
}


@dataclass(frozen=True)
class Device:
    """What a device does: operations a second in training and evaluation."""

    name: str
    rate: float
    how: str = "manufacturer's figure, not measured"
    memory: int = 0  # bytes; 0: the machine's
    bandwidth: float = float("inf")  # bytes a second; a CPU's is part of its rate
    launch: float = 0.0  # seconds the host takes to start a kernel; a CPU's are part of its rate
    rates: dict[str, float] = field(default_factory=dict)  # of phases whose steps were timed


DEVICES = tuple(  # by the manufacturer's figures
    Device(
        f"one NVIDIA {name}, {memory} GB, at 40% of {tflops} Tflop/s",
        0.4e12 * tflops,
        memory=memory << 30,
        bandwidth=0.8e9 * gigabytes,
        launch=LAUNCH,
    )
    for name, memory, tflops, gigabytes in (
        ("L4", 24, 121, 300),
        ("A100", 40, 312, 1555),
        ("H100", 80, 989, 3350),
    )
)
