from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def quick_docs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Data Docs, half of a gate's time: test_gate.py and test_check_stages.py see them."""
    from great_expectations.data_context import EphemeralDataContext

    def build(context: Any, site_names: list[str]) -> None:
        store = context.config.data_docs_sites[site_names[0]]["store_backend"]
        (Path(store["base_directory"]) / "index.html").touch()

    monkeypatch.setattr(EphemeralDataContext, "build_data_docs", build)
