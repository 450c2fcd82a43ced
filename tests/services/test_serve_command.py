"""What `kindred serve` starts where nobody says so."""

from types import SimpleNamespace

import psutil
import pytest

from services.cli import main


class Begun(Exception):
    """It would start now."""


@pytest.mark.parametrize(
    ("free", "arguments", "expected"),
    [(16e9, [], 2), (4e9, [], 2), (3.9e9, [], 1), (1e9, ["--workers", "3"], 3)],
)
def test_there_are_two_workers_unless_memory_is_short(monkeypatch, free, arguments, expected):
    begun = []

    def prepare(request):
        begun.append(request.workers)
        raise Begun

    monkeypatch.setenv("KINDRED_WORKERS", "1")  # it sets it, and this undoes that
    monkeypatch.setattr("services.commands.serve_command._prepare", prepare)
    monkeypatch.setattr("services.commands.serve_command.any_key", lambda: False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    with pytest.raises(Begun):
        main(["serve", *arguments])
    assert begun == [expected]
