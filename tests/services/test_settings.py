"""docs/serving.md has every setting in a table."""

import re
from pathlib import Path

from services.cli import kindred

ROOT = Path(__file__).parents[2]
SETTINGS = re.compile(r"\b(?:KINDRED_[A-Z_]+|MILVUS_URI|MLFLOW_TRACKING_URI)\b")


def table():
    text = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    section = text.partition("## Settings")[2].partition("\n## ")[0]
    return {row.split("|")[1].strip().strip("`") for row in section.splitlines() if "|" in row}


def test_every_environment_variable_is_in_it():
    read = set()
    for package in ("services", "registry", "retrieval"):
        for path in (ROOT / package).rglob("*.py"):
            read |= set(SETTINGS.findall(path.read_text(encoding="utf-8")))
    assert len(read) > 8
    assert read == {name for name in table() if SETTINGS.fullmatch(name)}


def test_every_option_of_serve_is_in_it():
    options = {option.opts[0] for option in kindred.commands["serve"].params}
    assert options == {name.split()[0] for name in table() if re.match(r"--\w", name)}
