"""Where a version comes from as boxes and arrows: catalogue, labels, student, version, promotion.

What stands in the boxes is made here, from the record of `lineage_report`; `lineage_drawing` draws.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import networkx as nx

from registry.headlines import percent

Mood = Literal["plain", "good", "bad", "open"]

_DONE = {"promote": "promoted", "rollback": "rolled back to", "sync": "synced"}
_COLUMNS = {
    "catalogue": 0,
    "wishes": 0,
    "code": 0,
    "labels": 1,
    "student": 2,
    "version": 3,
    "promotion": 3,  # below: five columns would be too small to read on a page
}


@dataclass(frozen=True)
class Box:
    """A box: a heading, one large line, small lines below."""

    heading: str
    large: str
    small: tuple[str, ...]
    mood: Mood = "plain"  # of the frame: open is drawn with dashes


def lineage_graph(record: Mapping[str, Any]) -> nx.DiGraph:
    """The graph of a version; every node has its `box`, and the `column` that it stands in."""
    boxes = {
        "catalogue": _catalogue(record),
        "wishes": _wishes(record),
        "code": _code(record),
        "labels": _labels(record),
        "student": _student(record),
        "version": _version(record),
        "promotion": _promotion(record),
    }
    graph = nx.DiGraph()
    for name, box in boxes.items():
        graph.add_node(name, box=box, column=_COLUMNS[name])
    graph.add_edges_from(
        [
            ("catalogue", "labels"),
            ("wishes", "labels"),
            ("labels", "student"),
            ("code", "student"),
            ("student", "version"),
            ("version", "promotion"),
        ]
    )
    return graph


def _catalogue(record: Mapping[str, Any]) -> Box:
    data = record["data"]
    rejects = data["rejects"]
    refused = "refused rows not recorded" if rejects is None else f"{_sum(rejects)} rows refused"
    digest = data["digests"].get("data/catalog/products.parquet")
    return Box(
        "Catalogue",
        f"{_sum(data['products'])} products",
        (*_splits(data["products"]), refused, *_digest(digest)),
    )


def _wishes(record: Mapping[str, Any]) -> Box:
    data = record["data"]
    digest = data["digests"].get("data/personas.parquet")
    if data["personas"] is None:
        counts = (f"{data['wishes']:,} with a label", f"{data['queries']:,} held out")
        return Box("Wishes", "personas", (*counts, *_digest(digest)))
    return Box(
        "Wishes",
        f"{_sum(data['personas'])} personas",
        (*_splits(data["personas"]), *_digest(digest)),
    )


def _code(record: Mapping[str, Any]) -> Box:
    code = record["code"]
    tree = {True: "tree clean", False: "tree with changes", None: "tree unknown"}[code["clean"]]
    torch = record["packages"].get("torch")
    python = f"Python {record['python']}" + (f", torch {torch}" if torch else "")
    large = f"commit {code['commit'][:9]}" if code["commit"] else "no commit"
    return Box("Code", large, (tree, python), "bad" if code["clean"] is False else "plain")


def _labels(record: Mapping[str, Any]) -> Box:
    settings, rankings = record["teacher"]["settings"], record["data"]["rankings"]
    teacher = settings.get("model") or f"{settings.get('kind', 'unknown')} teacher"
    small = [f"by: {teacher}"]
    if rankings is not None and len(rankings) > 1:
        small.append(f"in {len(rankings)} cycles")
    if record["asked"] is not None:
        calls = sum(one["calls"] for one in record["asked"].values())
        small.append(f"{calls:,} calls, {cost_in_words(record['asked'])}")
    gates = [gate for name, gate in record["gates"].items() if name.startswith("labels")]
    passed = sum(gate["passed"] for gate in gates)
    small.append(f"gate: {passed} of {len(gates)} cycles passed" if gates else "gate: not asked")
    large = "rankings" if rankings is None else f"{_sum(rankings)} rankings"
    return Box("Labels", large, tuple(small), "good" if gates and passed == len(gates) else "bad")


def _student(record: Mapping[str, Any]) -> Box:
    parameters = record["parameters"]
    cycles = [name for name in record["gates"] if name.startswith("labels_")]
    kept = (
        ("seed {}", parameters.get("seed")),
        ("trained: {}", parameters.get("distill.train")),
        ("{} cycles of distillation", str(len(cycles)) if cycles else None),
    )
    digest = record["data"]["digests"].get("models/student")
    small = [words.format(value) for words, value in kept if value is not None]
    return Box("Student", parameters.get("base.model", "model"), (*small, *_digest(digest)))


def _version(record: Mapping[str, Any]) -> Box:
    gate = record["gates"].get("retrieval")
    metrics = record["metrics"]
    rows = (
        ("known wishes {}", "persona_percentile"),
        ("held-out wishes {}", "held_out_percentile"),
        ("captions@10 {}", "caption_recall_at_10"),
    )
    small = [f"registered {record['registered'][:10]}"]
    if record["revision_of"] is not None:
        small.append(f"revision {record['revision']} of version {record['revision_of']}")
    small += [words.format(percent(metrics[key])) for words, key in rows if key in metrics]
    small.append(f"gate: {'none' if gate is None else 'passed' if gate['passed'] else 'failed'}")
    small.append(f"sha256 {record['bundle_sha256'][:9]}")
    mood: Mood = "good" if gate and gate["passed"] else "bad"
    return Box("Version", f"{record['name']} {record['version']}", tuple(small), mood)


def _promotion(record: Mapping[str, Any]) -> Box:
    done = [one for one in record["promotions"] if one["outcome"] == "done"]
    champion = "champion" in record["aliases"]
    if not done:
        large = "champion" if champion else "not promoted"
        words = "alias set past Kindred" if champion else "next: kindred promote"
        return Box("Promotion", large, (words,), "good" if champion else "open")
    last = done[-1]
    before = f"before: version {last['before']}" if last["before"] else "the first champion"
    small = [f"{_DONE.get(last['action'], last['action'])} {last['began'][:10]}", before]
    small += [f"by {last['user']}"] if last["user"] else []
    small += ["forced over a gate"] if last["overridden"] else []
    large = "champion" if champion else "champion once"
    return Box("Promotion", large, tuple(small), "good" if champion else "open")


def cost_in_words(asked: Mapping[str, Mapping[str, Any]]) -> str:
    """What the calls cost together, as far as the stages know."""
    costs = [one["cost_usd"] for one in asked.values()]
    known = sum(cost for cost in costs if cost is not None)
    return f"${known:,.2f}" if None not in costs else f"${known:,.2f} and more"


def _splits(counts: Mapping[str, int]) -> Iterable[str]:
    """Two lines at most."""
    parts = [
        f"{count:,} {split}" for split, count in sorted(counts.items(), key=lambda one: -one[1])
    ]
    return [" · ".join(parts[at : at + 2]) for at in range(0, len(parts), 2)]


def _digest(digest: str | None) -> Iterable[str]:
    return [f"md5 {digest[:9]}"] if digest else []


def _sum(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values()):,}"
