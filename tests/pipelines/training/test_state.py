import time

import pytest
import torch

from pipelines.training import state as training_state
from pipelines.training.state import Checkpoint, read_state, write_state
from retrieval.storage.files import sha256_file

STATE = {"trained": {"w": torch.arange(3.0)}, "updates": 3, "curves": {"loss": [0.5, 0.25]}}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_state_is_read_as_it_was_written(tmp_path):
    write_state(tmp_path / "state.pt", STATE)
    found = read_state(tmp_path / "state.pt")
    assert torch.equal(found.pop("trained")["w"], torch.arange(3.0))
    assert found == {"updates": 3, "curves": {"loss": [0.5, 0.25]}}


def test_equal_states_give_equal_bytes_under_any_name(tmp_path):
    for name in ("a.pt", "another.pt"):
        write_state(tmp_path / name, STATE)
    assert sha256_file(tmp_path / "a.pt") == sha256_file(tmp_path / "another.pt")


def test_a_checkpoint_is_for_equal_inputs_only():
    with Checkpoint("s@c1", "a" * 64) as checkpoint:
        assert checkpoint.read() is None
        checkpoint.write(STATE)
    with Checkpoint("s@c1", "b" * 64) as other:
        assert other.read() is None
    with Checkpoint("s@c1", "a" * 64) as same:
        assert same.read()["updates"] == 3


def test_a_stages_checkpoints_go_together_and_no_other_stages():
    for stage, digest in (("s@c1", "a"), ("s@c1", "b"), ("s@c2", "a")):
        with Checkpoint(stage, digest * 64) as checkpoint:
            checkpoint.write(STATE)
    with Checkpoint("s@c1", "c" * 64) as checkpoint:
        checkpoint.remove()
    left = [path.name for path in training_state.CHECKPOINTS.glob("*.pt")]
    assert left == [f"s@c2-{'a' * 16}.pt"]


def test_two_processes_do_not_share_them():
    with (
        Checkpoint("s@c1", "a" * 64),
        pytest.raises(BlockingIOError, match="held by another process; wait for it"),
        Checkpoint("s@c1", "a" * 64),
    ):
        pytest.fail("it was entered")


def test_a_slow_disk_is_written_to_less_often(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with Checkpoint("s@c1", "a" * 64) as checkpoint:
        assert not checkpoint.due()
        clock[0] += 1
        assert checkpoint.due()

        def slow(path, state):
            clock[0] += 2

        monkeypatch.setattr(training_state, "write_state", slow)
        checkpoint.write(STATE)
        clock[0] += 49
        assert not checkpoint.due()
        clock[0] += 1
        assert checkpoint.due()
