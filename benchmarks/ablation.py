"""What each choice in distillation is worth: one factor at a time, several seeds, test percentile.

A line differs from params.yaml in the factor that it names. For each of its seeds, labelling,
distillation and selection run again, in this process, in a folder of their own that borrows the
catalogue, the base model and the tournaments of this project's finished run; the number is the
mean percentile of the teacher's winner for test personas over test products. All lines spend the
same number of teacher calls but `published`: the recipe has its own number of groups a cycle, and
30 cycles or as many as --cycles says. Its pairwise knockout is not part of the line, since one
truth serves all lines. Results are kept in var/ablation/results.jsonl, under a digest of all
that they depend on: what is known is not run again, and a run that was ended goes on behind it.

    python -m benchmarks.ablation --line bradley-terry --seeds 0 1 2
    python -m benchmarks.ablation --line published --cycles 4
    python -m benchmarks.ablation                      # every line, three seeds each
    python -m benchmarks.ablation --list
"""

import argparse
import contextlib
import copy
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.measured import markdown
from pipelines import distill, label, select
from pipelines.held_out.winners import HeldOut, read_held_out
from pipelines.run.params import PARAMS, Params
from pipelines.run.paths import BASE, CAPTION_VECTORS, product_vectors
from pipelines.run.recipe import MOST_CYCLES, resolve_recipe
from pipelines.training.features import FEATURES
from registry.tracking import connect
from retrieval.captions import caption_ranks
from retrieval.metrics import recall_at
from retrieval.storage.files import sha256_file
from retrieval.storage.vectors import read_vectors

RESULTS = Path("var/ablation/results.jsonl")
# Of the finished run: read, never written.
BORROWED = (
    "data/catalog", "data/personas.parquet", "data/tournaments.parquet", "data/vectors/texts",
    "data/vectors/cycles/c0", "data/labels/c0", "models/cycles/c0", "metrics/cycles/c0.json",
    "pipelines",
)  # fmt: skip
INPUTS = (
    "data/catalog/products.parquet", "data/personas.parquet", "data/tournaments.parquet",
    "data/vectors/cycles/c0/products.parquet", "models/cycles/c0/model/open_clip_model.safetensors",
)  # fmt: skip
# A line: what it changes in params.yaml. `cycles` is a number; the calls are divided among them,
# unless a recipe has its own.
LINES: dict[str, dict[str, Any]] = {
    "default": {},
    "bradley-terry": {"distill": {"loss": "bradley-terry"}},
    "no-retention": {"distill": {"retention_weight": 0.0}},
    "groups-of-five": {"label": {"band_sizes": [1, 1, 1, 2]}},
    "random-sampling": {"label": {"band_edges": [], "candidates": 1}},
    "eight-cycles": {"cycles": 8},
    "head": {"distill": {"train": "head", "learning_rate": 0.002}},
    "published": {"distill": {"recipe": "published"}, "cycles": MOST_CYCLES},
}
Result = dict[str, Any]


def change(
    params: dict[str, Any], line: str, seed: int, cycles: int | None = None
) -> dict[str, Any]:
    """The parameters of a line and seed.

    Args:
        params: Content of params.yaml.
        line: One of `LINES`.
        seed: The run's; the catalogue, the base model and the tournaments keep theirs.
        cycles: Other than the line's; None keeps the line's.
    """
    changed = copy.deepcopy(params)
    changed["seed"] = seed
    changes = LINES[line]
    for section in changes.keys() - {"cycles"}:
        changed[section].update(changes[section])
    if not changed["label"]["band_edges"]:  # one band has as many pictures as all had
        changed["label"]["band_sizes"] = [sum(params["label"]["band_sizes"])]
    calls = params["label"]["groups"] * len(params["cycles"])
    cycles = cycles or changes.get("cycles", len(params["cycles"]))
    changed["cycles"] = {f"c{number}": f"c{number - 1}" for number in range(1, cycles + 1)}
    groups = calls // cycles
    # The gate on labels does not run here, so nothing is asked twice for it.
    audits = {"audit_fraction": 0.0, "pair_fraction": 0.0}
    changed["label"].update({"groups": groups, **audits})
    return changed


@contextlib.contextmanager
def borrowed_project(params: dict[str, Any]) -> Iterator[None]:
    """Work in a folder with these parameters and this project's inputs.

    Raises:
        SystemExit: An input is missing; the message says which.
    """
    home = Path.cwd()
    FEATURES.mkdir(parents=True, exist_ok=True)  # frozen features serve every run
    with tempfile.TemporaryDirectory(prefix="ablation-") as name:
        folder = Path(name)
        for path in (*BORROWED, str(FEATURES)):
            if not (home / path).exists():
                msg = f"{path} is missing: run `dvc repro base tournaments` first"
                raise SystemExit(msg)
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to((home / path).resolve())
        (folder / PARAMS).write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        with contextlib.chdir(folder):
            yield


def run(params: dict[str, Any]) -> Result:
    """Label, distil and select in a borrowed project; what came out."""
    start = time.perf_counter()
    said = io.StringIO()
    with borrowed_project(params), contextlib.redirect_stdout(said):
        for cycle in params["cycles"]:
            label.main(cycle)
            distill.main(cycle)
        select.main()
        held_out = read_held_out("test")
        scores = {model: held_out.scores(model) for model in (BASE, "student")}
        percentiles = {model: held_out.percentiles(found) for model, found in scores.items()}
        ledgers = [Path(f"data/labels/{cycle}/ledger.json") for cycle in params["cycles"]]
        calls = sum(json.loads(path.read_text(encoding="utf-8"))["calls"] for path in ledgers)
        best = json.loads(Path("metrics/select.json").read_text(encoding="utf-8"))
        recall = caption_recall(held_out)
    return {
        "percentile": float(percentiles["student"].mean()),
        "base": float(percentiles[BASE].mean()),
        "caption_recall": recall,
        "validation": best["validation_gain"][best["cycle"]],
        "cycle": best["cycle"],
        "calls": calls,
        "seconds": time.perf_counter() - start,
    }


def caption_recall(held_out: HeldOut) -> float:
    """Share of held-out products that their own caption finds first: what was forgotten."""
    texts_ND = read_vectors(CAPTION_VECTORS).rows(held_out.product_ids)
    images_ND = read_vectors(product_vectors("student")).rows(held_out.product_ids)
    captions = [product["caption"] for product in held_out.products]
    return recall_at(caption_ranks(texts_ND, images_ND, captions), 1)


@contextlib.contextmanager
def silent_tracking() -> Iterator[None]:
    """MLflow gets a store of its own that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="ablation-mlflow-") as name:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{name}/mlflow.db"
        with contextlib.chdir(name):  # the experiment's artifacts go beside it
            connect()
        yield


def known_results() -> dict[str, Result]:
    """The results so far, by their digest; a line that a kill cut off does not count."""
    found = {}
    if RESULTS.exists():
        for line in RESULTS.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                result = json.loads(line)
                found[result["digest"]] = result
    return found


def measure(line: str, seed: int, cycles: int | None) -> Result:
    """The result of a line and seed: known, or run now and kept."""
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    changed = change(params, line, seed, cycles)
    resolved = resolve_recipe(Params.model_validate(changed)).model_dump(mode="json")
    digest = distill.checkpoint_key({path: sha256_file(Path(path)) for path in INPUTS}, resolved)
    known = known_results().get(digest)
    if known is None:
        known = {"line": line, "seed": seed, "digest": digest, **run(changed)}
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(known) + "\n")
    return known


def table(results: Sequence[Sequence[Result]]) -> str:
    """A row a line: mean and standard deviation over its seeds, in percent.

    Percentiles are the winners' mean ones, of test personas.
    """
    header = (
        "line", "test percentile", "minus base", "caption recall@1", "validation gain", "calls", "s"
    )  # fmt: skip
    rows = []
    for found in results:
        gains = [result["percentile"] - result["base"] for result in found]
        cells = [
            f"`{found[0]['line']}`",
            _spread([result["percentile"] for result in found]),
            _spread(gains),
            _spread([result["caption_recall"] for result in found]),
            _spread([result["validation"] for result in found]),
            f"{statistics.mean(result['calls'] for result in found):,.0f}",
            f"{statistics.mean(result['seconds'] for result in found):.0f}",
        ]
        rows.append(cells)
    return markdown(header, rows)


def _spread(shares: Sequence[float]) -> str:
    mean = f"{100 * np.mean(shares):.2f}"
    return mean if len(shares) == 1 else f"{mean} ± {100 * np.std(shares, ddof=1):.2f}"


def main() -> None:
    """Read the arguments, run what is not known, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--line", nargs="+", choices=list(LINES), default=list(LINES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--cycles", type=int, help="instead of each line's own number of them")
    parser.add_argument("--list", action="store_true", help="what each line changes, and stop")
    options = parser.parse_args()
    if options.list:
        for line, changes in LINES.items():
            print(f"{line}: {json.dumps(changes)}")
        return
    results = []
    with silent_tracking():
        for line in options.line:
            found = []
            for seed in options.seeds:
                result = measure(line, seed, options.cycles)
                found.append(result)
                text = f"{line}, seed {seed}: {100 * result['percentile']:.2f} %"
                print(f"{text} ({result['seconds']:.0f} s)", file=sys.stderr, flush=True)
            results.append(found)
    print(table(results))


if __name__ == "__main__":
    main()
