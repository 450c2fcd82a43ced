"""A project's top folder with a params.yaml, and folders of drawings to look at."""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from pipelines.setup.command import init
from tests.pipelines.ingest.drawings import drawing

PARAMS = Path(__file__).parents[3] / "params.yaml"
PROMPTS = Path("pipelines/labelling/teachers/prompts")


class Project:
    """The current folder, where `kindred init` runs."""

    def __init__(self, top: Path) -> None:
        self.top = top
        (top / "params.yaml").write_text(PARAMS.read_text(encoding="utf-8"), encoding="utf-8")
        shutil.copytree(PARAMS.parent / PROMPTS, top / PROMPTS)
        self.mine = top / "mine"
        self.mine.mkdir()

    def draw(self, *names: str, first: int = 0) -> None:
        """Different drawings under these names."""
        for number, name in enumerate(names, first):
            path = self.mine / name
            path.parent.mkdir(parents=True, exist_ok=True)
            drawing(number).save(path)

    def products(self, *rows: Mapping[str, Any]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with (self.mine / "products.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def personas(self, *rows: Mapping[str, Any]) -> None:
        lines = [
            json.dumps({"persona_id": f"p{n}", "text": f"wish {n}"} | row)
            for n, row in enumerate(rows)
        ]
        (self.mine / "personas.jsonl").write_text("\n".join(lines) + "\n")

    @property
    def params(self) -> dict[str, Any]:
        content: dict[str, Any] = yaml.safe_load((self.top / "params.yaml").read_text())
        return content

    @staticmethod
    def init(*arguments: str) -> Result:
        return CliRunner().invoke(init, arguments)

    @staticmethod
    def table(output: str) -> dict[str, str]:
        """The facts that were printed, by name."""
        lines = output.split("\n\n")[0].splitlines()[1:]
        return {line[2:].split("  ")[0]: line[2:].split("  ", 1)[1].strip() for line in lines}

    def rows(self) -> Sequence[Mapping[str, str]]:
        with (self.mine / "products.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)
