"""The notebook kernel: this interpreter's ipykernel, dying with the process that started it."""

import os
import sys
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from xtsupport.study.execution import kernel_server, plain
from xtsupport.study.execution.orphans import die_with_parent


class OwnKernelManager(AsyncKernelManager):
    """Starts the interpreter that runs us, whatever kernels the user has installed.

    Sockets are files where the system has such: TCP ports are chosen before the kernel opens them,
    and two nodes that start at once can get the same. JUPYTER_RUNTIME_DIR says where; it must be
    the node's own and its name short (a socket's name has at most some 100 bytes).
    """

    def __init__(self, **options):
        if not plain.chosen():  # one after the other: nobody else takes a port meanwhile
            folder = Path(os.environ["JUPYTER_RUNTIME_DIR"])
            options |= {"transport": "ipc", "ip": str(folder / "kernel")}
        super().__init__(**options)

    @property
    def kernel_spec(self) -> KernelSpec:
        """A kernel that needs no installation."""
        module = "kernel_server" if os.environ.get(kernel_server.NAME) else "kernel"
        module = f"xtsupport.study.execution.{module}"
        argv = [sys.executable, "-m", module, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def main() -> None:
    """Run the kernel, as long as the process lives that started it."""
    from ipykernel.kernelapp import launch_new_instance

    die_with_parent(int(os.environ.get("JPY_PARENT_PID") or os.getppid()))
    launch_new_instance()


if __name__ == "__main__":
    main()
