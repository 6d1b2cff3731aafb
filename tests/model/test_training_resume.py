"""A training that is killed goes on where it was, and ends in the weights of one that was left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 30

# Forks a training, waits for some of its epochs and a moment more, and kills it. In a process of its own, because a
# fork of the tests' process would take their threads' locks along.
DRIVER = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from mlip_lab.model import training
from tests.tiny import tiny_config, tiny_frames

folder, epochs = Path(sys.argv[1]), int(sys.argv[2])
training.EPOCHS, training.CHECKPOINT_SECONDS = (epochs, epochs), 0.0
frames, config, chance = tiny_frames(9, gold=1), tiny_config("neural"), random.Random(1)

def fit(place, progress=lambda done, total, **live: None):
    potential, history = training.fit_neural(
        config, frames, seed=0, folder=place, identity="same", progress=progress)
    return dict(potential.members[0], history=np.array(history.train_forces))

np.savez(folder / "whole.npz", **fit(None))
seen = []
for _ in range(5):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        fit(folder / "work", lambda done, total, **live: live and os.write(writing, bytes([done])))
        os._exit(0)
    os.close(writing)
    for _ in range(chance.randint(1, 4)):
        seen.append(os.read(reading, 1)[0])
    time.sleep(chance.uniform(0.0, 0.03))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "it had ended before it was killed"
    os.close(reading)
last = []
np.savez(folder / "resumed.npz", **fit(folder / "work", lambda done, total, **live: live and last.append(done)))
print(*seen, last[0])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process to kill")
def test_killed_five_times_at_random_moments(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", DRIVER, str(tmp_path), str(EPOCHS)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    epochs = [int(word) for word in done.stdout.split()]
    # each went on behind the epochs that an earlier one had finished, so the checkpoints were used
    assert epochs == sorted(set(epochs)) and 5 < epochs[-1] < EPOCHS
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "resumed.npz") as resumed:
        assert set(whole) == set(resumed)
        for name in whole:
            np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)
