"""Two processes share each batch: they must end where one process does on the same batches."""

import os
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest

SCRIPT = textwrap.dedent(
    """
    import sys
    import numpy as np, torch
    from accelerate import PartialState
    from xtsupport.training.features import featurise
    from xtsupport.training.heads import TaskModel
    from xtsupport.training.loop import Recipe, train
    from xtsupport.training.masked import tiny_xlmr, train_tokenizer

    torch.set_num_threads(1)
    (out,) = sys.argv[1:]
    texts = ["Ada cooked soup in the kitchen on Friday.", "Who cooked soup?", "Ben sold 3 chairs."]
    tokenizer = train_tokenizer(texts * 30, 120)
    pairs = {"text": texts * 6, "text_pair": ["Ada cooked."] * 18, "label": ["a", "b", "b"] * 6}
    words = {"tokens": [["Ada", "cooked", "3", "soups"][: 2 + n % 3] for n in range(18)]}
    words["tags"] = [["N", "V", "A", "N"][: len(row)] for row in words["tokens"]]
    options = [["soup", "3", "chairs", "Ada"][: 2 + n % 3] for n in range(19)]
    questions = {"context": ["Ada cooked."] * 19, "question": texts * 6 + ["Who?"],
                 "choices": options, "label": [n % len(each) for n, each in enumerate(options)]}
    data = {"c": featurise(pairs, "classification", tokenizer, 64, 0, ("a", "b")),
            "t": featurise(words, "tagging", tokenizer, 64, 0, ("A", "N", "V")),
            "o": featurise(questions, "choice", tokenizer, 64, 0)}
    for noise in ("", "adversarial"):
        model = TaskModel(tiny_xlmr(len(tokenizer), 16, 2, 2, 32, 64, seed=0).base_model)
        model.add_head("c", "classification", 2, seed=1)
        model.add_head("t", "tagging", 3, seed=1)
        model.add_head("o", "choice", 1, seed=1)
        recipe = Recipe(steps=16, batch_size=6, learning_rate=3e-3, batch_tokens=60, noise=noise)
        history = train(model, data, tokenizer, recipe, progress=False)
        # what adds the same to all options has no gradient but rounding, which Adam blows up
        weights = [w for name, w in model.named_parameters()
                   if not (name.startswith("heads.o.") and name.endswith("bias"))]
        weights = torch.cat([w.detach().flatten() for w in weights]).numpy()
        state = PartialState()
        assert state.device.type == "cpu"
        name = f"{noise}{state.process_index}of{state.num_processes}.npz"
        np.savez(out + name, w=weights, l=history.loss)
    """
)


def started(folder, processes: int) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    found = []
    for rank in range(processes):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        settings = shared | own if processes > 1 else {"ACCELERATE_USE_CPU": "true"}
        command = [sys.executable, "-c", SCRIPT, str(folder) + os.sep]
        found.append(subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.PIPE))
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What every process of one-process and two-process training ended with, by noise."""
    folder = tmp_path_factory.mktemp("parallel")
    processes = started(folder, 1) + started(folder, 2)
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors.decode()
    names = ("0of1.npz", "0of2.npz", "1of2.npz")
    return {noise: [np.load(folder / f"{noise}{name}") for name in names]
            for noise in ("", "adversarial")}  # fmt: skip


@pytest.mark.slow
def test_two_processes_end_where_one_does(finished):
    one, first, second = finished[""]
    assert np.array_equal(first["w"], second["w"])
    assert np.abs(one["w"] - first["w"]).max() < 2e-4
    assert np.allclose(one["l"], first["l"], atol=1e-5)


@pytest.mark.slow
def test_two_processes_train_adversarially_alike(finished):
    """The noise is their own, but the weights stay one model's."""
    _, first, second = finished["adversarial"]
    assert np.array_equal(first["w"], second["w"]) and np.isfinite(first["l"]).all()
