"""`xtsupport doctor`: whether this machine can run a study; each line is ok or says what to do."""

import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from xtsupport import folders
from xtsupport.errors import UserError
from xtsupport.study import installed

LEAST_MEMORY, LEAST_DISK = 2, 3  # GB that the demo needs free: two nodes at once; its runs
STEPS = 40  # of the training check
PIP = f"{sys.executable} -m pip"  # of this very Python, as one types it


@dataclass(frozen=True)
class Finding:
    """The result of one check. mend: what to type if something is wrong; needed: whether a study
    cannot run without it."""

    what: str
    found: str
    mend: str = ""
    needed: bool = True

    def line(self) -> str:
        """One line, and a second one where there is something to do."""
        state = "ok" if not self.mend else "WRONG" if self.needed else "note"
        return f"{self.what:<10}{state:<7}{self.found}" + f"\n{'':>17}{self.mend}" * bool(self.mend)


def findings() -> Iterator[Finding]:
    """All checks, in order; the last one trains for some seconds."""
    yield Finding("python", f"{platform.python_version()} ({sys.executable})")
    wrong = installed.missing()
    yield packages(wrong)
    if installed.needed(wrong):
        return  # the rest imports them
    for check in (torch_build, memory, disk, cache, hub, kernel, fonts, training):
        yield check()


def packages(wrong: list[str]) -> Finding:
    """Every package there, in the range that pyproject.toml states."""
    mend = "" if not wrong else f"{PIP} install {' '.join(repr(each) for each in wrong)}"
    if wrong and not installed.needed(wrong):
        found = f"no {', '.join(wrong)}: only `xtsupport lab` needs it"
        return Finding("packages", found, mend, needed=False)
    found = f"all {len(installed.wanted())} are installed, with versions that fit"
    return Finding("packages", f"missing or too old: {', '.join(wrong)}" if wrong else found, mend)


def torch_build() -> Finding:
    """Whether torch was built for the device that is here."""
    import torch

    from xtsupport.study.execution.gpu_locks import devices

    if torch.cuda.is_available():
        return Finding("torch", f"{torch.__version__} on {torch.cuda.get_device_name()}")
    if not devices():
        return Finding("torch", f"{torch.__version__} on the CPU (no GPU here)")
    if torch.version.cuda is None:
        text = f"{torch.__version__} is a build for CPUs, but there is a GPU"
        mend = f"{PIP} install --force-reinstall --no-deps torch (a build for CUDA)"
    else:
        text = f"{torch.__version__} cannot use the GPU"
        mend = f"update the NVIDIA driver: this torch needs CUDA {torch.version.cuda}"
    return Finding("torch", text, mend, needed=False)


def memory() -> Finding:
    """Free memory; two nodes of the demo take one GB each."""
    import psutil

    free = psutil.virtual_memory().available / 1e9
    mend = "" if free >= LEAST_MEMORY else "close other programs, or give `xtsupport run --jobs 1`"
    return Finding("memory", f"{free:.1f} GB free", mend)


def disk() -> Finding:
    """Free disk where results go."""
    free = shutil.disk_usage(folders.root()).free / 1e9
    mend = "" if free >= LEAST_DISK else "xtsupport clean --remove"
    return Finding("disk", f"{free:.0f} GB free at {folders.root()}", mend)


def cache() -> Finding:
    """Whether caches can be written: our own, and the hub's."""
    from huggingface_hub import constants

    places = {"XTSUPPORT_CACHE": folders.user_cache(), "HF_HOME": Path(constants.HF_HOME)}
    for name, place in places.items():
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            mend = f"set {name} to a folder that you can write to"
            return Finding("cache", f"{place}: {error.strerror}", mend)
    return Finding("cache", ", ".join(map(str, places.values())))


def hub() -> Finding:
    """Whether the hub answers; studies on invented languages or a mirror do without."""
    from xtsupport.data import remote

    mend = "on a networked machine: xtsupport data get FILE --to DIR; then set `data: DIR` here"
    try:
        remote.latest("datasets", "google/xquad", "main")
    except UserError as error:
        return Finding("hub", error.problems[0].partition(";")[0], mend, needed=False)
    return Finding("hub", f"{remote.endpoint()} answers")


def kernel() -> Finding:
    """Whether JupyterLab's `python3` is this Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    mend = f"{sys.executable} -m ipykernel install --sys-prefix"
    try:
        starts = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        mend = mend if find_spec("ipykernel") else f"{PIP} install ipykernel"
        return Finding("kernel", "no kernel python3 is registered", mend)
    here = starts == Path(starts).name or Path(starts).parent == Path(sys.executable).parent
    return Finding("kernel", f"python3 starts {starts}", "" if here else mend)


def fonts() -> Finding:
    """Whether figures can show names in every script."""
    from xtsupport.report.style import FONTS

    absent = [part for part in FONTS if not find_spec(f"justmytype_intl_{part}")]
    mend = f'{PIP} install "xtsupport[fonts]"'
    if absent:
        found = f"Latin, Greek, Cyrillic; no fonts for {', '.join(absent)}"
        return Finding("fonts", found, mend, needed=False)
    return Finding("fonts", "for every script of the languages table")


def training() -> Finding:
    """A tiny masked language model learns some sentences: its loss must fall by a quarter."""
    import numpy as np
    import torch

    from xtsupport.study.phases.fitting import device
    from xtsupport.training.features import featurise
    from xtsupport.training.loop import train
    from xtsupport.training.masked import masked_model, tiny_xlmr, train_tokenizer
    from xtsupport.training.recipe import Recipe

    again = f"{PIP} install --force-reinstall torch"
    texts = [f"{who} {did} soup on {day}." for who in ("Ada", "Ben") for did in ("cooked", "sold")
             for day in ("Friday", "Monday")] * 8  # fmt: skip
    tokenizer = train_tokenizer(texts, 100)
    model = masked_model(tiny_xlmr(len(tokenizer), 32, 2, 2, 64, 32, seed=0), "masked")
    data = {"masked": featurise({"text": texts}, "masked", tokenizer, 32, 0)}
    recipe = Recipe(steps=STEPS, batch_size=16, learning_rate=1e-2, seed=0)
    begun = time.monotonic()
    torch.set_num_threads(1)  # more would wait for one another in so small a model
    try:
        losses = train(model, data, tokenizer, recipe, progress=False)["loss"].to_numpy()
    except RuntimeError as error:
        return Finding("training", str(error).splitlines()[0], again)
    first, last = np.mean(losses[:5]), np.mean(losses[-5:])
    took = f"loss {first:.2f} to {last:.2f} in {STEPS} steps on {device()}, "
    mend = "" if last < 0.75 * first else again
    return Finding("training", f"{took}{time.monotonic() - begun:.1f} s", mend)
