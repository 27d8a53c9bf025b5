"""Which number format a device trains fastest in, and how fast it multiplies.

A CPU without units for bfloat16 emulates it, up to sixteen times slower than float32. The flags of
libraries do not settle which it is (PyTorch reports support on CPUs that emulate, and can be told
to leave units unused), so a short matrix product is timed.
"""

import os
import platform
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from xtsupport.errors import UserError
from xtsupport.files import read_json, write_json
from xtsupport.folders import user_cache

FORMATS = ("float32", "bfloat16")
FASTER = 1.2  # bfloat16 is taken where its products are at least so many times as fast
PRODUCT = (256, 384, 1536)  # rows, inputs, outputs: one feed-forward layer of a small encoder
ROUNDS = 20  # the fastest counts, also on a busy machine; 2 or 3 ms each on a CPU core
ENOUGH = 0.1  # seconds; nobody waits for more rounds of what is slow
CAPS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


def resolve(setting: str) -> str:
    """``float32`` or ``bfloat16``; ``auto`` is the faster one on the device at hand."""
    if setting != "auto":
        return setting
    return "bfloat16" if has_bfloat16() else "float32"


def has_bfloat16() -> bool:
    """Whether bfloat16 is worth having on the device at hand."""
    rates = product_rates()
    return rates["bfloat16"] > FASTER * rates["float32"]


def check(asked: str, used: str) -> list[str]:
    """A line where `used`, asked for by name, is bfloat16 and the device at hand only emulates it.

    Raises UserError where ``auto`` became bfloat16 on another device, and this one lacks it.
    """
    if used != "bfloat16" or has_bfloat16():
        return []
    if asked == "auto":
        raise UserError(
            "precision = auto: was fixed to bfloat16 at this study's first run, and this device "
            "only emulates it; run on a device that has it, or set precision: bfloat16 to continue "
            "slowly, or precision: float32 to train everything again"
        )
    return [
        "note: precision = bfloat16: this device only emulates it, many times slower than "
        "float32; set precision: auto or float32 if speed matters"
    ]


@cache
def product_rates() -> dict[str, float]:
    """Format -> operations a second of a matrix product on the GPU, else on one CPU core.

    CPUs are measured once; the user's cache keeps what was found.
    """
    kept, signature = user_cache() / "product_rates.json", cpu_signature()
    known = read_json(kept) or {}
    if signature in known:
        return known[signature]
    import torch

    rates = measured(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    if signature:
        with suppress(OSError):
            write_json(kept, known | {signature: rates})
    return rates


def device_name() -> str:
    """The GPU that is used, or what of the CPU `product_rates` are of."""
    if not cpu_signature():
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    return "one core of this machine"


def cpu_signature() -> str:
    """What the rates of a CPU depend on; empty where there is a GPU, which is asked each time."""
    if Path("/proc/driver/nvidia/version").exists():
        return ""
    model = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line for line in lines if line.startswith("model name"))
    caps = (f"{name}={os.environ.get(name, '')}" for name in CAPS)
    return " ".join([" ".join(model.split()), f"torch {version('torch')}", *caps])


def measured(device) -> dict[str, float]:
    """The rates of both formats, timed in turn on one thread, so that a busy machine slows both."""
    import torch

    rows, inputs, outputs = PRODUCT if device.type == "cpu" else (8192, 4096, 4096)
    threads = torch.get_num_threads()
    seconds: dict[str, list[float]] = {name: [] for name in FORMATS}
    torch.set_num_threads(1)
    try:
        for _ in range(ROUNDS):
            for name, spent in seconds.items():
                if sum(spent) < ENOUGH:
                    kind = {"device": device, "dtype": getattr(torch, name)}
                    left, right = (torch.ones(n, inputs, **kind) for n in (rows, outputs))
                    start = time.perf_counter()
                    torch.nn.functional.linear(left, right)
                    if left.is_cuda:
                        torch.cuda.synchronize()
                    spent.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return {name: 2 * rows * inputs * outputs / min(spent) for name, spent in seconds.items()}
