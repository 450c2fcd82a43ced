"""Make a version again from its commit, its data and its parameters, and compare.

Everything is computed anew in a temporary work tree (`registry.rerun`); of the checkout nothing
changes, nor of its registry.
"""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.bundle import Bundle
from registry.dvc_lock import upstream_stages
from registry.errors import RefusedError
from registry.lineage import VOLATILE_OUTS, Lineage, package_versions
from registry.originals import EVALUATION, Originals
from registry.rerun import (
    LOCK,
    Change,
    changed_inputs,
    copy_journals,
    environment,
    link_catalogue,
    parameters,
    run_pipeline,
    use_own_cache,
    use_parameters,
)
from registry.rounding import Likeness, values_are_near, worst
from registry.store import fetch_bundle
from registry.tracking import leaves
from registry.versions import REGISTERED, Version
from registry.work_tree import Report, WorkTree, work_tree
from retrieval.storage.files import read_json

_VERDICT = "metrics/retrieval_verdict.json"  # it names the champion of its day


@dataclass(frozen=True)
class Output:
    """What a stage wrote, then and now."""

    stage: str
    path: str
    likeness: Likeness
    note: str = ""  # why it differs, where that can be said


@dataclass(frozen=True)
class Reproduction:
    """What came of making a version again."""

    version: Version
    commit: str
    likeness: Likeness  # of the whole
    outputs: Sequence[Output]
    left_out: Sequence[str]  # outputs that no two runs have alike
    metrics: Sequence[Change]  # numbers of metrics/evaluate.json that differ beyond rounding
    packages: Sequence[Change]  # Python among them; None where it is not installed
    notes: Sequence[str]  # what cannot be as it was
    finished: bool  # every stage ran
    digest: str | None  # of the bundle that came out; None: none did
    folder: Path | None  # the work tree, where it was kept


def reproduce(
    version: Version, given: Mapping[str, str], *, keep: bool, report: Report
) -> Reproduction:
    """Run the pipeline again as it was when a version was made.

    Args:
        version: Which.
        given: The environment; what would lead to the checkout's registry is left out.
        keep: Leave the work tree.
        report: Called with each step, and with DVC's own lines.

    Raises:
        RefusedError: What the version was made from is not here: its commit or its catalogue; or
            it was made without git or without DVC.
        RegistryError: Its files are damaged.
        UnreachableError: The registry does not answer.
    """
    bundle = fetch_bundle(version)
    lineage = bundle.lineage
    commit = _require_origin(version, lineage)
    with work_tree(commit, keep=keep, report=report) as tree:
        report(f"a work tree of commit {commit[:12]}: {tree.folder}")
        env = environment(tree, given)
        notes = list(_notes(lineage, _prepare(tree, lineage, env, report)))
        for note in notes:
            report(note)
        finished = run_pipeline(tree, env, report)
        outputs = list(_outputs(tree, bundle))
        metrics = _metrics(tree, bundle)
        digest = _digest(tree) if finished else None
    return Reproduction(
        version=version,
        commit=commit,
        likeness=worst(output.likeness for output in outputs) if finished else "differs",
        outputs=outputs,
        left_out=sorted(path for _, path, _ in _recorded(lineage) if _is_left_out(path, lineage)),
        metrics=metrics,
        packages=_packages(lineage),
        notes=notes,
        finished=finished,
        digest=digest,
        folder=tree.folder if keep else None,
    )


def _require_origin(version: Version, lineage: Lineage) -> str:
    lacks = [
        what
        for what, is_there in (
            ("in a git repository with a commit", lineage.git.commit),
            ("by DVC's stages", lineage.stages),
        )
        if not is_there
    ]
    if lacks:
        msg = (
            f"version {version.number} of {version.name} was not made {' and not '.join(lacks)}:"
            " which code made it is not recorded, so it cannot be made again"
        )
        raise RefusedError(msg)
    assert lineage.git.commit is not None
    return lineage.git.commit


def _prepare(
    tree: WorkTree, lineage: Lineage, env: Mapping[str, str], report: Report
) -> dict[str, str]:
    """Make the tree what the version was made from; what of it cannot be, by path."""
    use_own_cache(tree)
    for change in use_parameters(tree, lineage):
        report(f"parameter {change.name}: {change.was} as in the lineage (commit: {change.now})")
    count = copy_journals(tree)
    report(
        f"teachers' replies were copied ({count} journals): what was asked once is not paid again"
        if count
        else "no replies of teachers are here: a teacher that is a model is asked anew"
    )
    changed = changed_inputs(tree, lineage, env)
    folder, is_read = _catalogue(lineage)
    if is_read and folder in changed:
        link_catalogue(tree, Path(folder))
        changed = changed_inputs(tree, lineage, env)
        if folder in changed:
            msg = (
                f"{folder} is not the catalogue that the version was made from, whose digest is"
                f" {lineage.stages['catalog'].deps[folder]}: put it back as it was, and run this"
                " again"
            )
            raise RefusedError(msg)
        report(f"{folder} is linked in: its digest is the lineage's")
    return {path: state for path, state in changed.items() if path != folder}


def _notes(lineage: Lineage, changed: Mapping[str, str]) -> Iterator[str]:
    for path, state in changed.items():
        yield f"{path} is not what the version was made from: {state}"
    if changed and not lineage.git.clean:
        yield "the tree held changes that no commit has: those files cannot be brought back"
    elif not lineage.git.clean:
        yield (
            "the tree held changes that the commit does not, but what its stages read is here: its"
            " parameters by the lineage, all files by their digests"
        )
    if lineage.parent is not None:
        yield (
            f"{_VERDICT} was written beside version {lineage.parent}, the champion of that day:"
            " it is not compared"
        )


def _catalogue(lineage: Lineage) -> tuple[str, bool]:
    """The catalogue's folder, and whether the version was made from what it holds."""
    params = parameters(lineage)
    folder = str(params.get("catalog", {}).get("folder", ""))
    personas = params.get("personas", {}).get("kind")
    teacher = lineage.teacher.get("kind")
    is_read = params.get("catalog", {}).get("source") == "folder" or "file" in (personas, teacher)
    return folder, is_read


def _recorded(lineage: Lineage) -> Iterator[tuple[str, str, str]]:
    for name, stage in lineage.stages.items():
        for path, digest in stage.outs.items():
            yield name, path, digest


def _is_left_out(path: str, lineage: Lineage) -> bool:
    if path == _VERDICT:
        return lineage.parent is not None
    return path.startswith(VOLATILE_OUTS)


def _outputs(tree: WorkTree, bundle: Bundle) -> Iterator[Output]:
    lineage = bundle.lineage
    paths = [path for _, path, _ in _recorded(lineage)]
    cycles = [name.partition("@")[2] for name in lineage.stages if "@" in name]
    made = upstream_stages(tree.folder / LOCK, paths, cycles)
    now = {path: digest for stage in made.values() for path, digest in stage.outs.items()}
    originals = Originals(bundle)
    for stage, path, was in _recorded(lineage):
        if _is_left_out(path, lineage):
            continue
        if path not in now:
            yield Output(stage, path, "differs", "it was not made")
        elif now[path] == was:
            yield Output(stage, path, "equal")
        else:
            yield Output(stage, path, *originals.compare(path, was, tree.folder / path))


def _metrics(tree: WorkTree, bundle: Bundle) -> list[Change]:
    path = tree.folder / EVALUATION
    now = leaves(read_json(path)) if path.exists() else {}
    was = leaves(bundle.metrics)
    return [
        Change(name, was.get(name), now.get(name))
        for name in sorted(was.keys() | now.keys())
        if not values_are_near(was.get(name), now.get(name))
    ]


def _digest(tree: WorkTree) -> str | None:
    path = tree.folder / REGISTERED
    return str(read_json(path)["bundle_sha256"]) if path.exists() else None


def _packages(lineage: Lineage) -> list[Change]:
    """Python and packages in other versions than the version was made with."""
    here = {**package_versions(), "python": platform.python_version()}
    then = {**lineage.packages, "python": lineage.python}
    return [
        Change(name, was, here.get(name)) for name, was in then.items() if here.get(name) != was
    ]
