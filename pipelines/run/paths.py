"""Where stages put what other stages read, as `dvc.yaml` names it."""

from pathlib import Path

BASE = "c0"  # the base model is cycle 0: what no teacher has taught yet

PICTURES = Path("data/catalog")  # what the products' table calls their images by
# What `catalog` found: products may lack captions and titles, personas lack splits.
FOUND_PRODUCTS_FILE = Path("data/found/products.parquet")
FOUND_PERSONAS_FILE = Path("data/found/personas.parquet")
PRODUCTS_FILE = PICTURES / "products.parquet"  # complete: `captions` writes it
PERSONAS_FILE = Path("data/personas.parquet")
CAPTIONS_LEDGER = Path("data/captions_ledger.json")  # how many were written, and what that cost
PERSONAS_LEDGER = Path("data/personas_ledger.json")  # the same of personas, and what was dropped
SUBJECTS_FILE = Path("data/subjects.parquet")
TOURNAMENTS_FILE = Path("data/tournaments.parquet")
HELD_OUT_GROUPS_FILE = Path("data/held_out_groups.parquet")  # rankings; no training sees them
STUDENT_MODEL = Path("models/student")
CONCEPTS = Path("models/concepts")
# The text tower is frozen: a text has one vector for every cycle.
PERSONA_VECTORS = Path("data/vectors/texts/personas.parquet")
PARAPHRASE_VECTORS = Path("data/vectors/texts/paraphrases.parquet")  # of held-out personas
CAPTION_VECTORS = Path("data/vectors/texts/captions.parquet")

PERSONAS_VERDICT = Path("metrics/personas.json")
EVALUATION = Path("metrics/evaluate.json")
RETRIEVAL_VERDICT = Path("metrics/retrieval_verdict.json")
QUERIES_FILE = Path("reports/queries.parquet")  # how the evaluation's personas were answered
CONCEPT_QUERIES_FILE = Path("reports/concept_queries.parquet")  # likewise queries about concepts
# What `evaluate` writes for the report, beside metrics/evaluate.json and reports/queries.parquet.
# model, percentile, share: of the personas' winners, in bins by their lower edge.
PERCENTILES_FILE = Path("reports/percentiles.csv")
# cycle, percentile, share: the same, cycle by cycle; `base` first.
CYCLES_FILE = Path("reports/percentiles_by_cycle.csv")
# slice, value, n, base, student, gain, low, high: means over the slice's personas, and the gain's
# 95 % interval; a cell is blank where nothing can be said.
SLICES_FILE = Path("reports/slices.csv")
# model, difference, share, n: of the pairs of the held-out groups whose scores differ by about as
# much (the mean of the bin), the share in which the teacher preferred the higher-scored one.
CALIBRATION_FILE = Path("reports/calibration.csv")
# The student's worst, worst first: [{persona_id, text, percentile, base_percentile, winner,
# top: [the student's first five]}].
WORST_FILE = Path("reports/worst.json")


def rankings_file(cycle: str) -> Path:
    """The rankings up to a cycle; of the base model, which has no teacher, an empty table."""
    return Path("data/labels") / cycle / "rankings.parquet"


def audits_file(cycle: str) -> Path:
    """What a cycle asked again, for the gate."""
    return rankings_file(cycle).with_name("audits.parquet")


def ledger_file(cycle: str) -> Path:
    """What a cycle's labels cost, and what was planned."""
    return rankings_file(cycle).with_name("ledger.json")


def label_verdict(cycle: str) -> Path:
    """What the gate said of a cycle's labels."""
    return Path("metrics/labels") / f"{cycle}.json"


def product_vectors(model: str) -> Path:
    """The image vectors of every product, by the model of a cycle or by `student`."""
    folder = "student" if model == "student" else f"cycles/{model}"
    return Path("data/vectors") / folder / "products.parquet"


def cycle_model(cycle: str) -> Path:
    """The model folder of a cycle."""
    return Path("models/cycles") / cycle / "model"


def cycle_state(cycle: str) -> Path:
    """What a cycle's training hands to the next one's; of the base model, empty."""
    return Path("models/cycles") / cycle / "state.pt"


def cycle_metrics(cycle: str) -> Path:
    """How a cycle did on the validation split."""
    return Path("metrics/cycles") / f"{cycle}.json"


def stage_metrics(stage: str) -> Path:
    """The metrics of `select` or `concepts`."""
    return Path("metrics") / f"{stage}.json"


def run_file(name: str) -> Path:
    """Where a cycle or a stage leaves its MLflow run id, for `register`."""
    return Path("data/runs") / f"{name}.json"


def curves_file(name: str) -> Path:
    """The curves of a training stage, a row a step."""
    return Path("reports/curves") / f"{name}.csv"
