"""What a notebook's first cell calls on Colab and Kaggle, where xtsupport alone has been installed.

The rest of its requirements follows; whatever the host has in a version that will do is kept, and
its own JupyterLab and kernel are left alone. Only Python's own library is imported here.
"""

import subprocess
import sys
from importlib.metadata import requires, version

from xtsupport.study.provenance import versions_of

SHOWN = ("torch", "numpy", "pandas")  # large, or imported by a host already
FRONTS = ("jupyterlab", "ipykernel")  # what shows notebooks: a host such as Colab has its own


def needed() -> list[str]:
    """The requirements of xtsupport on a host that shows notebooks itself."""
    found = [each for each in requires("xtsupport") or () if "extra ==" not in each]
    return [each.split(";")[0].strip() for each in found if not each.startswith(FRONTS)]


def main() -> None:
    """Install, generate the invented languages, and say both in a line each."""
    before = versions_of(SHOWN)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *needed()], check=True)
    after = versions_of(SHOWN)
    kept = [f"{name} {after[name]}" for name in SHOWN if before.get(name) == after[name]]
    new = [f"{name} {after[name]}" for name in SHOWN if name not in before]
    other = [f"{name} {then} by {after[name]}" for name, then in before.items()
             if then != after[name]]  # fmt: skip
    lines = {"kept": kept, "installed": new, "replaced (now restart the session)": other}
    told = "; ".join(f"{what}: {', '.join(names)}" for what, names in lines.items() if names)
    print(f"xtsupport {version('xtsupport')} is installed; {told}")
    world = [sys.executable, "-m", "xtsupport", "world"]
    made = subprocess.run(world, check=True, capture_output=True, text=True).stdout
    print(f"data: the world of invented languages is in {made.strip()}")


if __name__ == "__main__":
    main()
