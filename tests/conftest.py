"""What several test modules share."""

import os
from pathlib import Path

import pytest

MIRROR = Path(__file__).parents[2] / "shared" / "hub"


@pytest.fixture(scope="session")
def mirror():
    """The folder of real datasets beside the checkout, or $XTSUPPORT_MIRROR."""
    folder = Path(os.environ.get("XTSUPPORT_MIRROR") or MIRROR)
    if not folder.is_dir():
        pytest.skip(f"no mirror of real datasets at {folder} (set XTSUPPORT_MIRROR to have one)")
    return folder
