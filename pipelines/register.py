"""Register everything that was made as one version of the model, with the alias `challenger`.

Inputs:  models/student/, models/cycles/c0/, data/vectors/{student,cycles/c0}/products.parquet,
         data/vectors/texts/{personas,captions}.parquet, data/catalog/,
         data/personas.parquet, data/tournaments.parquet, data/labels/<last cycle>/,
         models/concepts/,
         metrics/{concepts,evaluate,retrieval_verdict,labels/<cycle>}.json,
         reports/{queries,concept_queries}.parquet, data/runs/<stage>.json;
         for the lineage data/{captions,personas}_ledger.json, data/labels/<cycle>/ledger.json and
         reports/{catalog,caption}_rejects.csv;
         sections `register`, `cycles` and `teacher` of params.yaml
Outputs: models/registered.json; a version in the MLflow registry

Registering equal content again makes no second version: the alias moves to the one there is.

    python -m pipelines.register
    MLFLOW_TRACKING_URI=sqlite:////tmp/try.db python -m pipelines.register    # without a trace here
"""

from pathlib import Path
from shutil import rmtree
from typing import Any

from pipelines.registration.lineage import find_lineage
from pipelines.registration.parts import find_parts, find_verdicts
from pipelines.run.params import Params, load_params
from pipelines.run.stage import run_stage, say, stage_lock
from registry.bundle_writer import BundleSources, write_bundle
from registry.lineage import Lineage
from registry.store import Registration, register_bundle
from registry.versions import REGISTERED, Version
from retrieval.storage.files import write_json

WORK = Path("var/register")


def sources(params: Params, lineage: Lineage) -> BundleSources:
    """What the bundle is put together from."""
    return BundleSources(
        name=params.registration.name,
        **find_parts(params),
        verdicts=find_verdicts(params),
        lineage=lineage,
        thumbnail_side=params.registration.thumbnail_side,
    )


def record(version: Version) -> dict[str, Any]:
    """The content of `models/registered.json`: equal however often the version is registered."""
    return {
        "name": version.name,
        "version": version.number,
        "bundle_sha256": version.digest,
        "run_id": version.run_id,
        "created": version.created.isoformat(timespec="seconds"),
        "verdicts": version.verdicts,
    }


def main() -> None:
    """Run the stage."""
    params = load_params()
    with stage_lock("register"):
        done = _register(params)
    verdicts = ", ".join(f"{gate} {result}" for gate, result in done.version.verdicts.items())
    state = "new" if done.created else "already registered"
    say(
        f"{params.registration.name} version {done.version.number} ({state}, challenger):"
        f" {verdicts}; next: kindred status"
    )


def _register(params: Params) -> Registration:
    rmtree(WORK, ignore_errors=True)  # what a killed run left
    write_bundle(WORK / "bundle", sources(params, find_lineage(params)))
    done = register_bundle(WORK / "bundle", params.registration.name)
    write_json(REGISTERED, record(done.version))
    rmtree(WORK)
    return done


if __name__ == "__main__":
    run_stage(main)
