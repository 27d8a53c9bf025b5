"""What several test modules share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: a second thread only waits

# Numbers here are a CPU's, and a process that has used a GPU cannot fork.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # no test asks the real hub; nobody is there

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a shared machine is slow at times
settings.load_profile("patient")

MIRROR = Path(__file__).parents[2] / "shared" / "hub"


def pytest_collection_modifyitems(items):
    """The tests that share one study in their order come first: pytest-xdist hands out blocks, and
    a worker that has nothing left takes from the end of another's."""
    items.sort(key=lambda item: item.path.name != "test_runner.py")


@pytest.fixture(scope="session")
def mirror():
    """The folder of real datasets beside the checkout, or $XTSUPPORT_MIRROR."""
    folder = Path(os.environ.get("XTSUPPORT_MIRROR") or MIRROR)
    if not folder.is_dir():
        pytest.skip(f"no mirror of real datasets at {folder} (set XTSUPPORT_MIRROR to have one)")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The generated world in its smallest size, as a mirror; to be read only."""
    from xtsupport.data.world import generate

    folder = tmp_path_factory.mktemp("world")
    generate.write_world(folder, seed=0, size="tiny")
    return folder


@pytest.fixture(scope="session")
def tiny_encoder():
    """(model, tokenizer): 2 layers, 16 wide, random; the tokenizer learned from a few words."""
    from xtsupport.training.masked import tiny_xlmr, train_tokenizer

    texts = ["Ada cooked soup in the kitchen on Friday.", "Who cooked soup?"]
    texts = [*texts, "Ben sold 3 old chairs."] * 30
    tokenizer = train_tokenizer(texts, 120)
    return tiny_xlmr(len(tokenizer), 16, 2, 2, 32, 64, seed=0).base_model, tokenizer


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder with caches of one's own for the hub, and no study."""
    from hub_server import forget
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("XTSUPPORT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    forget()
    yield tmp_path
    forget()
