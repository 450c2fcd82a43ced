"""Where stages put what other stages read, as `dvc.yaml` names it."""

from pathlib import Path

PRODUCTS_FILE = Path("data/catalog/products.parquet")
PERSONAS_FILE = Path("data/personas.parquet")
SUBJECTS_FILE = Path("data/subjects.parquet")
TOURNAMENTS_FILE = Path("data/tournaments.parquet")
EVALUATION = Path("metrics/evaluate.json")
QUERIES_FILE = Path("reports/queries.parquet")  # how the evaluation's personas were answered
HELD_OUT_GROUPS_FILE = Path("data/held_out_groups.parquet")  # rankings; no training sees them
BASE_MODEL = Path("models/base")
BEST_MODEL = Path("models/student/best")
CONCEPTS = Path("models/concepts")
PERSONA_VECTORS = Path("data/vectors/base/personas.parquet")  # the text tower is frozen
PARAPHRASE_VECTORS = Path("data/vectors/base/paraphrases.parquet")  # of held-out personas
CAPTION_VECTORS = Path("data/vectors/base/captions.parquet")

# What `evaluate` writes for the report, beside metrics/evaluate.json and reports/queries.parquet.
# slice, value, n, base, student, gain, low, high: means over the slice's personas, and the gain's
# 95 % interval; a cell is blank where nothing can be said.
SLICES_FILE = Path("reports/slices.csv")
# model, difference, share, n: of the pairs of the held-out groups whose scores differ by about as
# much (the mean of the bin), the share in which the teacher preferred the higher-scored one.
CALIBRATION_FILE = Path("reports/calibration.csv")
# cycle, percentile, share: of the personas' winners, in bins by their lower edge; `base` first.
CYCLES_FILE = Path("reports/percentiles_by_cycle.csv")
# The student's worst, worst first: [{persona_id, text, percentile, base_percentile, winner,
# top: [the student's first five]}].
WORST_FILE = Path("reports/worst.json")


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
