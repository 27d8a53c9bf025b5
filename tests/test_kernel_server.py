"""Kernels forked from a warm process: as fresh as cold ones, and nobody outlives anybody."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from study_toys import wait_for
from test_nodes import fails, node  # noqa: F401

from xtsupport.study.execution import kernel_server, nodes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels start warm on Linux only")


@pytest.fixture(scope="module")
def server():
    """The environment of nodes while a warm process runs."""
    with kernel_server.server(nodes.environment(1)) as found:
        yield found


@pytest.fixture
def kernels(server, monkeypatch):
    """Kernels of this test are warm."""
    monkeypatch.setenv(kernel_server.NAME, server[kernel_server.NAME])


def log(folder: Path) -> str:
    return (folder / "node.log").read_text()


SAY = "import os, sys; print('torch' in sys.modules, os.getppid(), os.getcwd(), os.environ['TOLD'])"
LEAVE = "import json, os; json.left = 1; os.environ['LEFT'] = '1'; left = 1"
LOOK = "import json, os; print(hasattr(json, 'left'), 'LEFT' in os.environ, 'left' in globals())"


def test_a_warm_kernel_has_its_imports_folder_and_environment(node, kernels, monkeypatch):  # noqa: F811
    monkeypatch.setenv("TOLD", "so")
    folder = node(SAY)
    nodes.execute(folder)
    told, forked_from, place, so = log(folder).split("\n")[-4].split()[-4:]
    assert (told, so) == ("True", "so")
    assert Path(place) == folder.parents[3]  # the project root
    assert int(forked_from) != os.getpid()


def test_kernels_share_no_state(node, kernels):  # noqa: F811
    folder = node(LEAVE)
    nodes.execute(folder)
    folder = node(LOOK)
    nodes.execute(folder)
    assert "False False False" in log(folder)


def test_figures_are_shown_as_in_a_cold_kernel(node, kernels):  # noqa: F811
    drawn = "import matplotlib.pyplot as plt; plt.plot([1, 2])"
    folder = node(drawn, "plt.subplots()[0]", "plt.get_backend()")
    nodes.execute(folder)
    text = (folder / "09_toy.ipynb").read_text()
    assert text.count('"image/png"') == 3  # a value, and what each cell drew
    assert "inline" in text


def test_a_warm_kernel_that_dies_is_a_failure(node, kernels):  # noqa: F811
    assert "memory ran out" in fails(
        node("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    )


def test_without_a_warm_process_the_kernel_is_cold(node, monkeypatch):  # noqa: F811
    monkeypatch.setenv(kernel_server.NAME, "nobody-listens-here")
    folder = node("import sys; print('torch' in sys.modules)")
    nodes.execute(folder)
    assert "False" in log(folder)


@pytest.mark.parametrize("victim", ["asker", "server"])
def test_whoever_dies_takes_the_kernel_along(tmp_path, victim):
    with kernel_server.server(nodes.environment(1)) as found:
        mine = os.environ | found
        command = [
            sys.executable,
            "-m",
            "xtsupport.study.execution.kernel_server",
            "-f",
            str(tmp_path / "kernel.json"),
        ]
        asker = subprocess.Popen(command, env=mine, stdout=subprocess.DEVNULL)
        wait_for((tmp_path / "kernel.json").exists)
        started = [pid for pid in children(os.getpid()) if pid != asker.pid]
        (warm_one,) = (pid for pid in started if children(pid))
        forks = children(warm_one)
        assert len(forks) == 1
        assert os.getpgid(warm_one) != os.getpgid(0)  # Ctrl-C in a terminal goes to its group
        os.kill(asker.pid if victim == "asker" else warm_one, signal.SIGKILL)
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in forks), 20)
        asker.wait(timeout=20)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs another user")
def test_other_users_get_no_answer(server):
    child = os.fork()
    if not child:
        os.setuid(65534)
        answer = b""
        with socket.socket(socket.AF_UNIX) as peer, suppress(ConnectionError):
            peer.connect("\0" + server[kernel_server.NAME])
            peer.sendall(b"{}\n")
            answer = peer.recv(1)
        os._exit(len(answer))
    assert os.waitpid(child, 0)[1] == 0


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in told.split()]
