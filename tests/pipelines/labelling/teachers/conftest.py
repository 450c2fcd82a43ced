import pytest


@pytest.fixture
def path(tmp_path):
    """Of a journal, as yet empty."""
    return tmp_path / "label.jsonl"
