"""Where stages put what other stages read, as `dvc.yaml` names it."""

from pathlib import Path

PRODUCTS_FILE = Path("data/catalog/products.parquet")
PERSONAS_FILE = Path("data/personas.parquet")
SUBJECTS_FILE = Path("data/subjects.parquet")
TOURNAMENTS_FILE = Path("data/tournaments.parquet")
BASE_MODEL = Path("models/base")
BEST_MODEL = Path("models/student/best")
CONCEPTS = Path("models/concepts")
PERSONA_VECTORS = Path("data/vectors/base/personas.parquet")  # the text tower is frozen
CAPTION_VECTORS = Path("data/vectors/base/captions.parquet")


def rankings_file(cycle: str) -> Path:
    """The rankings up to a cycle; of `base`, which has no teacher, an empty table."""
    return Path("data/labels") / cycle / "rankings.parquet"


def audits_file(cycle: str) -> Path:
    """What a cycle asked again, for the gate."""
    return rankings_file(cycle).with_name("audits.parquet")


def ledger_file(cycle: str) -> Path:
    """What a cycle's labels cost, and what was planned."""
    return rankings_file(cycle).with_name("ledger.json")


def product_vectors(model: str) -> Path:
    """The image vectors of every product, by the model of a cycle, `base` or `best`."""
    return Path("data/vectors") / model / "products.parquet"


def student_model(cycle: str) -> Path:
    """The model folder of a cycle."""
    return Path("models/student") / cycle


def training_state(cycle: str) -> Path:
    """What a cycle's training hands to the next one's; of `base`, which has none, empty."""
    return Path("models/training") / cycle / "state.pt"


def model_metrics(model: str) -> Path:
    """The metrics of a model: of a cycle, or `base`."""
    return Path("metrics") / f"{model}.json"


def run_file(stage: str) -> Path:
    """Where a training stage, or a cycle, leaves its MLflow run id, for `register`."""
    return Path("data/runs") / f"{stage}.json"


def curves_file(stage: str) -> Path:
    """The curves of a training stage, a row a step."""
    return Path("reports/curves") / f"{stage}.csv"
