"""In which precision the service reads texts."""

import pytest

from services.cli import main
from services.search.precision import PRECISION, text_precision


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, "fp32"), ("", "fp32"), ("bf16", "bf16"), ("auto", "auto")]
)
def test_texts_are_read_in_fp32_unless_something_else_is_asked_for(monkeypatch, asked, expected):
    if asked is None:
        monkeypatch.delenv(PRECISION, raising=False)
    else:
        monkeypatch.setenv(PRECISION, asked)
    assert text_precision() == expected


def test_a_precision_that_is_none_is_refused_before_anything_is_opened(monkeypatch, capsys):
    monkeypatch.setenv(PRECISION, "fp16")
    assert main(["serve"]) == 2
    assert "got KINDRED_PRECISION=fp16, expected fp32, bf16, auto" in capsys.readouterr().err
