"""Where MLflow keeps runs and versions, and how a stage records its run there.

`MLFLOW_TRACKING_URI` if it is set, else `sqlite:///mlflow.db` in the working directory with
artifacts in `mlruns/`. Nothing is set up on import.
"""

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from registry.database import is_writable, open_database, sqlite_path
from registry.database_server import require_database
from registry.errors import RegistryError, explained
from registry.experiments import usable_experiment
from registry.git_state import read_git_state

EXPERIMENT = "kindred"
DEFAULT_URI = "sqlite:///mlflow.db"
_CURVE_POINTS = 1000  # MLflow takes no more metrics in one call
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # the requirements are named, not guessed from uv.lock
    "GIT_PYTHON_REFRESH": "quiet",  # a machine without git is no reason to warn
}


def tracking_uri() -> str:
    """The address of the tracking server or database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def exists() -> bool:
    """Whether there can be anything to read; asking does not create a database."""
    path = sqlite_path(tracking_uri())
    return path is None or path.exists()


def connect() -> str:
    """Point MLflow at its store, without telemetry and without chatter, and return the address.

    A local database is made if there is none, and follows its tree when that was moved or copied.

    Raises:
        UnreachableError: The database cannot be opened or created.
    """
    os.environ.update(_SETTINGS)  # before the import: MLflow reads them there
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)  # the import sets it to INFO
    # What the database refuses is raised too.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    uri = tracking_uri()
    path = sqlite_path(uri)
    if path is None:
        mlflow.set_tracking_uri(uri)
        require_database(uri)
    else:
        open_database(path, uri, EXPERIMENT)
    return uri


def check_writable() -> None:
    """Find out whether this user can write to the store, as far as that can be seen from here.

    Raises:
        RegistryError: It is a local database, and cannot be written.
    """
    path = sqlite_path(tracking_uri())
    if path is not None and path.exists() and not is_writable(path):
        msg = (
            f"this user cannot write to {path}: make its folder writable, or work in a copy of the"
            " tree (cp -r)"
        )
        raise RegistryError(msg)


def parent_run(name: str, known: str | None) -> str:
    """The id of a run under which others gather: the known one if the store has it, else a new one.

    Raises:
        RegistryError: The experiment was deleted in MLflow.
        UnreachableError: MLflow does not answer.
    """
    address = connect()
    from mlflow import MlflowClient, MlflowException

    client = MlflowClient()
    with explained(f"open a run {name}", address):
        experiment = usable_experiment(EXPERIMENT)
        if known is not None:
            try:
                run = client.get_run(known)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
            else:
                return str(run.info.run_id)
        made = client.create_run(experiment, run_name=name, tags={"kindred.stage": name})
        client.set_terminated(made.info.run_id)  # it does nothing itself
    return str(made.info.run_id)


@contextmanager
def training_run(
    stage: str, params: Mapping[str, Any], inputs: Mapping[str, str], parent: str | None = None
) -> Iterator[str]:
    """Record a stage's run: parameters, input digests, whatever is logged inside; yields its id.

        with tracking.training_run("base", params={...}, inputs={"data/x": sha256}) as run_id:
            tracking.log_curve("loss", losses)

    Args:
        stage: The stage's name; the run takes it.
        params: The stage's parameters, nested or not.
        inputs: SHA-256 by path of what the stage reads.
        parent: Id of the run that it is shown under.

    Raises:
        RegistryError: The experiment was deleted in MLflow.
        UnreachableError: MLflow does not answer. What fails inside passes through.
    """
    address = connect()
    import mlflow

    git = read_git_state(Path.cwd())
    tags = {"kindred.stage": stage, "git_commit": git.commit or "none", "git_note": git.note}
    if parent is not None:
        tags["mlflow.parentRunId"] = parent
    with explained(f"open a run of stage {stage}", address):
        experiment = usable_experiment(EXPERIMENT)
        active = mlflow.start_run(experiment_id=experiment, run_name=stage, tags=tags)
    with active as run:
        with explained(f"record the parameters of stage {stage}", address):
            mlflow.log_params(flatten(params))
            mlflow.log_dict(dict(inputs), "inputs.json")
        yield run.info.run_id


def log_curve(name: str, values: Sequence[float]) -> None:
    """Record a curve, one value a step, in the run that is open."""
    import mlflow
    from mlflow.entities import Metric

    run_id = mlflow.active_run().info.run_id
    now = int(time.time() * 1000)
    points = [Metric(name, float(value), now, step) for step, value in enumerate(values)]
    with explained(f"record the curve {name}", tracking_uri()):
        for start in range(0, len(points), _CURVE_POINTS):
            chunk = points[start : start + _CURVE_POINTS]
            mlflow.MlflowClient().log_batch(run_id, metrics=chunk)


def log_metrics(metrics: Mapping[str, Any]) -> None:
    """Record the numbers among nested metrics in the run that is open, under dotted names."""
    import mlflow

    with explained("record the metrics", tracking_uri()):
        mlflow.log_metrics(_numbers(metrics))


def log_files(paths: Sequence[Path]) -> None:
    """Keep files as artifacts of the run that is open."""
    import mlflow

    with explained("keep files", tracking_uri()):
        for path in paths:
            mlflow.log_artifact(str(path))


def flatten(params: Mapping[str, Any]) -> dict[str, str]:
    """Nested parameters as MLflow takes them: dotted names, and lists as JSON."""
    return {
        name: value if isinstance(value, str) else _as_json(value)
        for name, value in leaves(params).items()
    }


def leaves(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What nested mappings hold, by dotted names."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= leaves(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {
        name.replace("@", "_at_"): float(value)  # MLflow takes no @
        for name, value in leaves(metrics).items()
        if isinstance(value, int | float)
    }


def _as_json(value: Any) -> str:
    return json.dumps(value, default=str)
