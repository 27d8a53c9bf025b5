"""One node: one papermill execution of one notebook, and the check that its runs are complete.

A node folder (``outputs/STUDY/nodes/NODE``) has ``node.json`` (what to do), ``params.yaml`` (the
notebook's parameters), the executed notebook, ``node.log`` and ``state.json`` (how it went).
"""

import json
import logging
import os
import re
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import cast

import yaml

from xtsupport import files, folders
from xtsupport.errors import Stopped, UserError
from xtsupport.study import run_store, runs
from xtsupport.study.execution import gpu_locks
from xtsupport.study.execution.orphans import die_with_parent
from xtsupport.study.run_folder import identity, seal
from xtsupport.training.progress import LIVE

SPEC, PARAMS, STATE, STAMP, LOG = "node.json", "params.yaml", "state.json", "done", "node.log"
LIVE_FILE = "live.json"


def execute(folder: Path) -> None:
    """Do the node whose folder this is. Raises UserError when it did not come out whole.

    The executed notebook is there in either case; ``state.json`` says done or failed, and why.
    """
    spec = json.loads((folder / SPEC).read_text(encoding="utf-8"))
    busy = f"node {spec['name']} is being run by another process; wait for it or stop it"
    with files.locked(folder / runs.LOCK, busy, wait=ORPHAN):
        keep_log(folder / LOG)
        begun = time.monotonic()
        told = {"runner": spec["runner"], "pid": os.getpid(), "started": time.time()}
        say(folder, told | {"state": "running"})
        try:
            with files.plain_disk_errors(folder.resolve()):
                run_notebook(spec, folder)
                close(spec, folder, begun)
                leave_stamp(spec, folder)
            told["state"] = "done"
        except BaseException as error:
            state = "stopped" if isinstance(error, Stopped) else "failed"
            told |= {"state": state, "error": first_line(error)}
            raise
        finally:
            say(folder, told | {"seconds": round(time.monotonic() - begun, 3)})


def say(folder: Path, state: dict) -> None:
    """Keep how the node goes; on a full disk in the place of what was said before."""
    try:
        files.write_json(folder / STATE, state)
    except OSError:
        with suppress(OSError), (folder / STATE).open("r+", encoding="utf-8") as place:
            place.write(json.dumps(state))
            place.truncate()


def leave_stamp(spec: dict, folder: Path) -> None:
    """Tell Snakemake that the node is done."""
    for stamp in (folder.parent / name / STAMP for name in spec["upstream"]):
        if stamp.exists():  # old, so that Snakemake does not give up when a clock was set back
            os.utime(stamp, (0, 0))
    (folder / STAMP).touch()


def run_notebook(spec: dict, folder: Path) -> None:
    """Execute the notebook into the node's folder, on one GPU if there is any."""
    source = folders.notebooks() / f"{spec['notebook']}.ipynb"
    parameters = yaml.safe_load((folder / PARAMS).read_text(encoding="utf-8"))
    if not source.is_file():
        raise UserError(f"no notebook {source}; the notebooks of the study are in notebooks/")
    with gpu_locks.one_device(spec["per_gpu"]) as device, own_environment(spec, device, folder):
        execute_notebook(source, folder / source.name, parameters)


def execute_notebook(source: Path, executed: Path, parameters: dict) -> None:
    """papermill with this interpreter's kernel. Raises UserError when any cell failed or exited."""
    from papermill.exceptions import PapermillException
    from papermill.execute import execute_notebook as papermill

    from xtsupport.study.execution.kernel import OwnKernelManager

    try:
        done = papermill(
            unformatted(source),
            unformatted(executed),
            parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            log_output=True,
            cwd=folders.root(),
            start_timeout=300,
            kernel_manager_class=OwnKernelManager,
        )
    except PapermillException as error:
        ended, text = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", error)
        if ended == "Stopped":
            raise Stopped(text) from error
        if ended == "OSError" and (number := re.match(r"\[Errno (\d+)\]", str(text))):
            raise OSError(int(number[1]), text) from error
        raise UserError(text if ended == "UserError" else f"{ended}: {text}") from error
    except RuntimeError as error:  # nbclient's DeadKernelError
        raise UserError(
            f"{error}: the notebook's process was killed, probably because memory ran out "
            "(smaller batches help); otherwise see the log"
        ) from error
    for output in (each for cell in done.cells for each in cell.get("outputs", ())):
        if output.output_type == "error":  # papermill takes SystemExit(0) for success
            raise UserError(f"{output.ename}: {output.evalue}: the notebook exited early")


def unformatted(path: Path) -> str:
    """A path as papermill takes it, which puts parameters where there are braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def close(spec: dict, folder: Path, begun: float) -> None:
    """Check that the notebook left its runs and outputs whole; give analysis nodes their record."""
    study = folder.resolve().parent.parent
    outputs = [study / name for name in (*spec["outputs"], *spec["extras"])]
    missing = [name for name in spec["outputs"] if not files_of(study / name)]
    if missing:
        raise UserError(f"the notebook ended without writing {', '.join(missing)}")
    graph = json.loads((study / "graph.json").read_text(encoding="utf-8"))
    made = run_store.sketched(study.name, graph["runs"])
    if spec["record"]:
        record = spec["record"] | identity(made[spec["runs"][0]])
        whole = [study / name for name in spec["outputs"]]
        record["folders"] = [runs.relative(path, folder) for path in whole if path.is_dir()]
        seal(folder, record, [each for path in outputs for each in files_of(path)], begun)
        return
    left = ", ".join(name for name in spec["runs"] if not runs.is_whole(made[name]))
    if left:
        raise UserError(f"the notebook ended, but these runs are not complete: {left}")


def files_of(path: Path) -> list[Path]:
    """A file itself, or the files of a folder."""
    return [each for each in (path, *sorted(path.rglob("*"))) if each.is_file()]


@contextmanager
def own_environment(spec: dict, device: str | None, folder: Path):
    """Threads, GPU and Jupyter's files for the kernel; nothing is read from or left in the home."""
    wanted = environment(spec["threads"]) | {LIVE: str(folder.resolve() / LIVE_FILE)}
    wanted |= {} if device is None else {"CUDA_VISIBLE_DEVICES": device}
    with tempfile.TemporaryDirectory(prefix="xtsupport-") as private:
        wanted |= {"IPYTHONDIR": private, "JUPYTER_RUNTIME_DIR": private}
        before = dict(os.environ)
        os.environ.update(wanted)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def environment(threads: int) -> dict[str, str]:
    """What every kernel of a study finds in its environment."""
    return dict.fromkeys(THREADS, str(threads)) | {"TOKENIZERS_PARALLELISM": "false"}


def keep_log(path: Path) -> None:
    """Append papermill's account of the notebook, with times, to the node's log."""
    line, times = "%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"
    logging.basicConfig(filename=path, encoding="utf-8", format=line, datefmt=times, force=True)
    logging.getLogger("papermill").setLevel(logging.INFO)


def first_line(error: BaseException) -> str:
    """The first line of an error, with its type unless it speaks for itself."""
    text = (str(error).strip().splitlines() or [""])[0]
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}".rstrip(": ")


def main() -> int:
    """``python -m xtsupport.study.execution.nodes FOLDER``: what Snakemake calls for each node."""
    die_with_parent()
    # nbformat's jsonschema would spend a second on compiling a grammar for URIs that nobody uses
    sys.modules.setdefault("rfc3987_syntax", cast(ModuleType, None))
    try:
        execute(Path(sys.argv[1]))
    except UserError as error:
        if os.environ.get("XTSUPPORT_DEBUG"):
            traceback.print_exc()
        print(*(f"xtsupport: error: {each}" for each in error.problems), sep="\n", file=sys.stderr)
        return 1
    return 0


ORPHAN = 6 * 3600  # seconds to wait for a cluster job of a killed run that still does this node
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")

if __name__ == "__main__":
    sys.exit(main())
