"""What a notebook's first cell calls on Colab and Kaggle, where xtsupport alone has been installed.

The rest of its requirements follows; whatever the host has in a version that will do is kept, and
its own JupyterLab and kernel are left alone. Only Python's own library is imported here.
"""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version

SHOWN = ("torch", "numpy", "pandas")
FRONTS = ("jupyterlab", "ipykernel")


def needed() -> list[str]:
    """The requirements of xtsupport on a host that shows notebooks itself."""
    found = [each for each in requires("xtsupport") or () if "extra ==" not in each]
    return [each.split(";")[0].strip() for each in found if not each.startswith(FRONTS)]


def versions() -> dict[str, str]:
    """Of the packages that are large, or that a host has imported already."""
    found = {}
    for name in SHOWN:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def main() -> None:
    """Install, generate the invented languages, and say both in a line each."""
    before = versions()
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *needed()], check=True)
    after = versions()
    kept = [f"{name} {after[name]}" for name in SHOWN if before[name] == after[name]]
    new = [f"{name} {after[name]}" for name in SHOWN if not before[name]]
    other = [f"{n} {before[n]} by {after[n]}" for n in SHOWN if before[n] not in ("", after[n])]
    lines = {"kept": kept, "installed": new, "replaced (now restart the session)": other}
    told = "; ".join(f"{what}: {', '.join(names)}" for what, names in lines.items() if names)
    print(f"xtsupport {version('xtsupport')} is installed; {told}")
    world = [sys.executable, "-m", "xtsupport", "world"]
    made = subprocess.run(world, check=True, capture_output=True, text=True).stdout
    print(f"data: the world of invented languages is in {made.strip()}")


if __name__ == "__main__":
    main()
