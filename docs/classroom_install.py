"""Installs xtsupport from the wheels beside this file, without network, into .venv: type

    python install.py

`make classroom` fills in the two lines below.
"""

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

VERSION = "3.11"
EXTRA = "offline-encoder"
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Make .venv, install, check."""
    found = ".".join(map(str, sys.version_info[:2]))
    if found != VERSION:
        sys.exit(f"this is Python {found}, and the wheels are for {VERSION}: type `python{VERSION} "
                 f"install.py` (Windows: `py -{VERSION} install.py`)")  # fmt: skip
    print("1 of 3: making .venv", flush=True)
    venv.create(HERE / ".venv", with_pip=True)
    folder = HERE / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [str(folder / "python"), "-m", "pip", "--isolated", "install", "-q", "--no-index"]
    print("2 of 3: installing packages from wheels/ (takes some minutes)", flush=True)
    pip += ["--find-links", str(HERE / "wheels"), f"xtsupport[{EXTRA}]"]
    if code := shown(pip, HERE / ".venv", len([*HERE.glob("wheels/*.whl")])):
        sys.exit(code)  # pip said why
    print("3 of 3: checking the installation", flush=True)
    subprocess.run([str(folder / "xtsupport"), "doctor"], cwd=HERE, check=False)
    print(f"\nNow type: {folder.relative_to(HERE) / 'xtsupport'} lab")


def shown(command: list[str], folder: Path, total: int) -> int:
    """Run pip, with a line that counts the packages that come into `folder`; its exit code."""
    packages = next(folder.rglob("site-packages"))

    def there() -> int:
        return len([*packages.glob("*.dist-info/RECORD")])

    before, begun, run = there(), time.monotonic(), subprocess.Popen(command)
    while True:
        ended = run.poll() is not None
        seconds = int(time.monotonic() - begun)
        print(f"   {there() - before} of {total} packages, {seconds} s", end="\r", flush=True)
        if ended:
            print()
            return run.returncode
        time.sleep(1)


if __name__ == "__main__":
    main()
