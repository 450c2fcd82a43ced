"""The tables of numbers: what the pipeline comes to over five seeds, as median and range.

First the README's tables, among them each seed's own intervals and the interests that got worse;
then that of docs/concepts.md.

One seed tells little: another seed changes products, personas, pictures, what is held out, the
teacher's noise and training, and another processor changes the numbers of one seed by up to a few
points. Each seed runs every stage up to `evaluate`, in this process, in a folder of its own; that
takes as long as `make repro`. Results are kept in benchmarks/seeds.json under a digest of the
parameters and the stages' code: what is known is not run again, and a run that was ended goes on
behind it.

    python -m benchmarks.seeds                 # seeds 0 to 4, then the tables
    python -m benchmarks.seeds --seeds 5 6 7
    python -m benchmarks.seeds --table         # the tables of what is kept; nothing runs
"""

import argparse
import contextlib
import hashlib
import io
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.ablation import silent_tracking
from benchmarks.measured import describe_machine, markdown
from pipelines import (
    base,
    captions,
    catalog,
    check_labels,
    check_personas,
    concepts,
    distill,
    evaluate,
    label,
    personas,
    select,
    tournaments,
)
from pipelines.run.code import code_digests
from pipelines.run.params import PARAMS
from pipelines.run.paths import EVALUATION
from retrieval.storage.files import read_json, write_json

RESULTS = Path("benchmarks/seeds.json")
SEEDS = (0, 1, 2, 3, 4)
STAGES = (
    catalog, captions, personas, check_personas, base, tournaments, label, check_labels, distill,
    select, concepts, evaluate
)  # fmt: skip
# What the stages read besides parameters and the tables of earlier stages.
BORROWED = ("pipelines", "photos")
MODELS = {
    "random": "random order",
    "base": "base model",
    "text": "caption → text embedding",
    "student": "**student, distilled**",
    "ceiling": "ceiling: the truth behind the teacher",
}
Metrics = Mapping[str, Any]
Result = dict[str, Any]
Read = Callable[[Metrics], float]


def percent(share: float) -> str:
    """A share as a number of percent, or a difference of shares as one of points."""
    return f"{100 * share:.1f}"


def number(value: float) -> str:
    """A value whose hundredths count."""
    return f"{value:.2f}"


def fine(value: float) -> str:
    """A value whose thousandths count."""
    return f"{value:.3f}"


def points(difference: float) -> str:
    """A difference of shares, in points with its sign."""
    return f"{100 * difference:+.1f}"


def at(*keys: str) -> Read:
    """Read the value under these keys."""
    return lambda metrics: float(value_at(metrics, keys))


def share_unseen(metrics: Metrics) -> float:
    """The part of the headline's personas whose choice is of a kind that no teacher ranked."""
    seen, unseen = (metrics["slices"]["kinds"][name]["n"] for name in ("seen", "unseen"))
    return float(unseen / (seen + unseen))


def value_at(metrics: Metrics, keys: Sequence[str]) -> Any:
    """What lies under these keys."""
    found: Any = metrics
    for key in keys:
        found = found[key]
    return found


Line = tuple[str, Read, Callable[[float], str]]  # what it is, where it lies, how it is written
MODEL = (("base, %", "base"), ("student, %", "student"))
NOUN = (("class noun only", "text_only"), ("with the concept", "kindred"))
NOUNS = (("class nouns only", "text_only"), ("with the concepts", "kindred"))


def both(
    what: str, two: Sequence[tuple[str, str]], path: str, form: Callable[[float], str]
) -> Iterator[Line]:
    """Two lines, the second in comparison with the first; `*` in the path stands for each."""
    for name, (side, key) in zip((what, "the same"), two, strict=True):
        yield f"{name}: {side}", at(*path.replace("*", key).split()), form


# Below the table.
LINES: Sequence[Line] = (
    ("gain of the student over the base model, points", at("comparison", "gain"), percent),
    ("gap to the ceiling that it closes, %", at("comparison", "gap_closed"), percent),
    *both("interests that no training persona has", MODEL, "slices interests unseen *", percent),
    ("personas whose choice is of a kind that distillation never saw, %", share_unseen, percent),
    *both("kinds of product that distillation saw", MODEL, "slices kinds seen *", percent),
    *both("kinds of product that distillation never saw", MODEL, "slices kinds unseen *", percent),
    *both("literal captions, recall@1", MODEL, "caption * recall@1", percent),
    *both("concept alone, mAP", NOUN, "concept * concept_only map", number),
    *both("concept in a named scene, mRR", NOUN, "concept * context mrr", number),
    *both("two concepts in one query, mRR", NOUNS, "concept * multi mrr", number),
    (
        "captions among the first ten, with a concept switched on, %",
        at("concept", "caption_recall@10", "adapted"),
        percent,
    ),
)


# What is sure of a seed by itself: the title, where the number and its interval lie, how written.
SURE: Sequence[tuple[str, Read, Sequence[str], Callable[[float], str]]] = (
    ("gain, points", at("comparison", "gain"), ("comparison", "ci95"), points),
    *(
        (f"{what}, points", at("slices", *keys, "gain"), ("slices", *keys, "ci95"), points)
        for what, keys in (
            ("unseen interests", ("interests", "unseen")),
            ("kinds never ranked", ("kinds", "unseen")),
        )
    ),
    *(
        (
            what,
            at("concept", "kindred", kind, key),
            ("concept", "kindred", kind, "ci95", key),
            number,
        )
        for what, kind, key in (
            ("concept alone, mAP", "concept_only", "map"),
            ("in a named scene, mRR", "context", "mrr"),
            ("two concepts, mRR", "multi", "mrr"),
        )
    ),
)
KINDS = {"concept_only": "concept-only", "context": "context", "multi": "two concepts,"}
METRICS = {"map": "mAP", "mrr": "mRR", "recall@1": "recall@1", "recall@5": "recall@5"}


def digest_of(params: Mapping[str, Any]) -> str:
    """A digest of the parameters, seed included, and of all code that the stages reach."""
    code = {}
    for stage in STAGES:
        code |= code_digests(f"{stage.__name__.replace('.', '/')}.py")
    content = [params, code]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def project(params: Mapping[str, Any]) -> Iterator[None]:
    """Work in an empty folder with these parameters; it is removed afterwards."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="seed-") as name:
        folder = Path(name)
        for path in BORROWED:
            (folder / path).symlink_to((home / path).resolve())
        (folder / PARAMS).write_text(yaml.safe_dump(dict(params), sort_keys=False), "utf-8")
        with contextlib.chdir(folder):
            yield


def run(params: Mapping[str, Any]) -> Metrics:
    """Every stage up to `evaluate`; its metrics.

    Raises:
        SystemExit: A stage stopped, or the labels did not pass their gate; the message says why.
    """
    with project(params), contextlib.redirect_stdout(io.StringIO()):
        for stage in (catalog, captions, personas, check_personas, base):
            stage.main()
        tournaments.main()
        for cycle in params["cycles"]:
            label.main(cycle)
            check_labels.main(cycle)
            distill.main(cycle)
        select.main()
        concepts.main()
        evaluate.main()
        metrics: Metrics = read_json(EVALUATION)
    return metrics


def headline(metrics: Metrics) -> Metrics:
    """The part of metrics/evaluate.json that is kept: all but most slices."""
    slices = {name: metrics["slices"][name] for name in ("interests", "kinds", "interest")}
    return {**metrics, "slices": slices}


def measure(seed: int) -> Result:
    """The result of a seed: known, or run now and kept."""
    params = {**yaml.safe_load(PARAMS.read_text(encoding="utf-8")), "seed": seed}
    digest = digest_of(params)
    kept = known_results()
    known = kept.get(seed)
    if known is None or known["digest"] != digest:
        start = time.perf_counter()
        metrics = headline(run(params))
        seconds = round(time.perf_counter() - start)
        machine = describe_machine()
        known = {"digest": digest, "seconds": seconds, "machine": machine, "metrics": metrics}
        kept[seed] = known
        write_json(RESULTS, {str(key): kept[key] for key in sorted(kept)})
    return known


def known_results() -> dict[int, Result]:
    """What is kept, by seed."""
    found: Mapping[str, Result] = read_json(RESULTS) if RESULTS.exists() else {}
    return {int(seed): result for seed, result in found.items()}


def table(runs: Sequence[Metrics]) -> str:
    """The headline table in Markdown, medians and ranges over runs."""
    header = (
        "", "mean percentile, %", "within the wanted kinds, %", "recall@10, %", "nDCG@10", "τ",
        "in other words, %",
    )  # fmt: skip
    rows = []
    columns = (
        ("mean_percentile", percent), ("within_kind_percentile", percent),
        ("recall@10", percent), ("ndcg@10", number), ("tau", number),
    )  # fmt: skip
    for model, name in MODELS.items():
        cells = [name, *(spread(runs, at("persona", model, key), form) for key, form in columns)]
        reworded = at("persona_paraphrased", model, "mean_percentile")
        known = model in runs[0]["persona_paraphrased"]
        cells.append(spread(runs, reworded, percent) if known else "")
        rows.append(cells)
    lines = [[name, spread(runs, read, form)] for name, read, form in LINES]
    return f"{markdown(header, rows)}\n\n{markdown(('', 'median (range)'), lines)}"


def sure_table(results: Mapping[int, Result]) -> str:
    """Each seed's numbers with their own 95 % intervals; of too few clusters there is none."""
    rows = []
    for seed, result in sorted(results.items()):
        cells = [str(seed)]
        for _, read, where, form in SURE:
            low, high = value_at(result["metrics"], where) or (None, None)
            known = "no interval" if low is None else f"{form(low)} to {form(high)}"
            cells.append(f"{form(read(result['metrics']))} ({known})")
        rows.append(cells)
    return markdown(("seed", *(title for title, *_ in SURE)), rows)


def concept_table(runs: Sequence[Metrics]) -> str:
    """Concepts with the class noun alone and as learned."""
    rows = []
    for kind, title in KINDS.items():
        for key in METRICS:
            if key in runs[0]["concept"]["kindred"][kind]:
                both_ways = (at("concept", model, kind, key) for model in ("text_only", "kindred"))
                cells = [spread(runs, read, number) for read in both_ways]
                rows.append([f"{title} {METRICS[key]}", *cells])
    kept = (at("concept", "caption_recall@10", state) for state in ("unmodified", "adapted"))
    title = "caption recall@10, without and with a concept on"
    rows.append([title, *(spread(runs, read, fine) for read in kept)])
    return markdown(("", "text only", "Kindred"), rows)


def bad_news(results: Mapping[int, Result]) -> list[str]:
    """The interests whose whole interval lies below zero, seed by seed, in words."""
    lines = []
    for seed, result in sorted(results.items()):
        worse = [
            f"{name} ({points(found['gain'])}; {points(low)} to {points(high)})"
            for name, found in result["metrics"]["slices"]["interest"].items()
            for low, high in [found["ci95"] or (0.0, 0.0)]
            if high < 0
        ]
        lines.append(f"- seed {seed}: {', '.join(worse) or 'none'}")
    return lines


def spread(runs: Sequence[Metrics], read: Read, form: Callable[[float], str]) -> str:
    """Median and range over runs."""
    values = [read(metrics) for metrics in runs]
    return f"{form(statistics.median(values))} ({form(min(values))} to {form(max(values))})"


def main() -> None:
    """Read the arguments, run what is not known, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--table", action="store_true", help="of what is kept; nothing runs")
    options = parser.parse_args()
    if options.table:
        results = known_results()
        if not results:
            parser.error(f"got no {RESULTS}, expected results of a run: leave out --table")
    else:
        results = {}
        logging.disable(logging.INFO)  # Great Expectations names each temporary folder
        with silent_tracking():
            for seed in options.seeds:
                results[seed] = measure(seed)
                share = at("persona", "student", "mean_percentile")(results[seed]["metrics"])
                print(f"seed {seed}: {percent(share)} %", file=sys.stderr, flush=True)
    runs = [result["metrics"] for result in results.values()]
    worse = "Interests that lie wholly below zero, points of mean percentile:"
    parts = (table(runs), sure_table(results), worse, "\n".join(bad_news(results)))
    print("\n\n".join((*parts, concept_table(runs))))


if __name__ == "__main__":
    main()
