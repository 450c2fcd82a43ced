"""Who has a bundle keeps it from being removed, until it is forgotten or the process ends."""

import errno
import os

import pytest

from registry.in_use import Hold, alone, is_used

DIGEST = "a" * 64


def test_a_hold_lasts_until_it_is_forgotten(tmp_path):
    first, second = Hold(tmp_path, DIGEST), Hold(tmp_path, DIGEST)
    assert is_used(tmp_path, DIGEST)
    assert not is_used(tmp_path, "b" * 64)
    del first
    with alone(tmp_path, DIGEST) as free:
        assert not free
    del second
    with alone(tmp_path, DIGEST) as free:
        assert free
        with alone(tmp_path, DIGEST) as again:
            assert not again
    assert not is_used(tmp_path, DIGEST)


def test_asking_makes_no_file(tmp_path):
    assert not is_used(tmp_path, DIGEST)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", [errno.EROFS, errno.EACCES])
def test_where_nobody_can_write_a_bundle_is_used_without_a_lock(tmp_path, monkeypatch, fault):
    def refused(*_):
        raise OSError(fault, os.strerror(fault))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        Hold(tmp_path, DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_other_faults_are_not_hidden(tmp_path):
    with pytest.raises(FileNotFoundError):
        Hold(tmp_path / "none", DIGEST)
