"""Kernels that start warm: forked from one process per study that has the slow imports behind it.

Importing torch, transformers and datasets takes a kernel longer than all the rest of its start. On
Linux and one machine `xtsupport run` therefore keeps a process that has imported them and done
nothing else. Jupyter starts, as the kernel, this module: it asks that process for a fork, hands on
its arguments, environment, folder and output, and waits. The fork becomes the kernel, with memory
of its own; whichever of the two ends takes the other along. Without an answer, this module becomes
an ordinary kernel. Only processes of the same user are answered.
"""

import gc
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from xtsupport.study.execution.orphans import die_with_parent

NAME = "XTSUPPORT_WARM"  # the environment variable: name of the socket; empty: every kernel is cold
SLOW = ("xtsupport.study.phases.train", "ipykernel.kernelapp", "scipy.stats", "matplotlib.figure")
INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # read when it is imported


@contextmanager
def server(environment: dict[str, str], pays: bool = True) -> Iterator[dict[str, str]]:
    """Keep a warm process while the block runs; yields the environment by which nodes find it,
    which is empty where kernels start cold."""
    if not pays or sys.platform != "linux" or os.environ.get(NAME) == "":
        yield {}
        return
    name = f"xtsupport-{uuid.uuid4().hex}"
    module = "xtsupport.study.execution.kernel_server"
    command = [sys.executable, "-m", module, "serve", str(os.getpid())]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{name}")  # no file to leave behind
        listening.listen(64)
        handle = listening.fileno()
        process = subprocess.Popen(
            [*command, str(handle)],
            env=os.environ | environment | INLINE,
            stdin=subprocess.DEVNULL,
            pass_fds=[handle],
            start_new_session=True,  # Ctrl-C in the terminal is for who started it, who ends it
        )
    try:
        yield {NAME: name}
    finally:
        process.kill()
        process.wait()


def serve(parent: int, handle: int) -> None:
    """Import what is slow, then fork for everyone who asks."""
    die_with_parent(parent)
    # Libraries have started threads; none of them holds a lock while this process waits for a peer.
    warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)
    with socket.socket(fileno=handle) as listening:
        for module in SLOW:
            import_module(module)
        gc.collect()
        gc.freeze()  # the collector of a fork looks through a million imported objects no more
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks that ended leave nothing behind
        mine = os.getpid()
        while True:
            peer, _ = listening.accept()
            if same_user(peer) and not os.fork():
                listening.close()
                become_kernel(peer, mine)
            peer.close()


def become_kernel(peer: socket.socket, parent: int) -> None:
    """In the fork: take over what the asking process handed on, and run the kernel."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    die_with_parent(parent)
    text, handed, _, _ = socket.recv_fds(peer, 1 << 20, 2)
    while not text.endswith(b"\n"):
        more = peer.recv(1 << 20)
        if not more:
            os._exit(1)  # who asked is gone
        text += more
    for target, source in zip((1, 2), handed, strict=True):
        os.dup2(source, target)
        os.close(source)
    asked = json.loads(text)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv[1:] = [*asked["arguments"], f"--IPKernelApp.parent_handle={parent}"]
    peer.sendall(b"k")
    threading.Thread(target=end_with, args=(peer,), daemon=True).start()
    import_module("ipykernel.kernelapp").launch_new_instance()
    os._exit(0)  # the loop of the process that was forked is not ours


def end_with(peer: socket.socket) -> None:
    """Kill this process as soon as the other end is gone."""
    peer.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def same_user(peer: socket.socket) -> bool:
    """Whether the other end belongs to this user."""
    told = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", told)[1] == os.getuid()


def ask() -> None:
    """What Jupyter starts: have a kernel forked and wait for its end, or become one."""
    parent = int(os.environ.pop("JPY_PARENT_PID", None) or os.getppid())
    die_with_parent(parent)
    with socket.socket(socket.AF_UNIX) as peer:
        try:
            peer.connect(f"\0{os.environ[NAME]}")
            if same_user(peer) and handed_on(peer):
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                peer.recv(1)
                return
        except OSError:
            pass
    os.environ["JPY_PARENT_PID"] = str(parent)
    command = [sys.executable, "-m", "xtsupport.study.execution.kernel", *sys.argv[1:]]
    os.execv(sys.executable, command)


def handed_on(peer: socket.socket) -> bool:
    """Send everything that makes a process; whether the fork took it."""
    asked = {"environment": {**os.environ}, "folder": str(Path.cwd()), "arguments": sys.argv[1:]}
    socket.send_fds(peer, [json.dumps(asked).encode() + b"\n"], [1, 2])
    return peer.recv(1) == b"k"


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(*map(int, sys.argv[2:]))
    else:
        ask()
