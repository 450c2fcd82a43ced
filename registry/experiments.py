"""MLflow's experiments by name, and what to do about one that was deleted."""

from typing import Any

from registry.errors import RegistryError


def make_experiment(name: str) -> Any:
    """The experiment of a name, made if there is none; also one that was deleted in MLflow."""
    from mlflow import MlflowClient, MlflowException

    client = MlflowClient()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            client.create_experiment(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise
        found = client.get_experiment_by_name(name)
    return found


def usable_experiment(name: str) -> str:
    """The id of an experiment, made if there is none.

    Raises:
        RegistryError: It was deleted in MLflow; the message says how to bring it back.
    """
    return check_experiment(make_experiment(name))


def check_experiment(experiment: Any) -> str:
    """The id of an experiment that was not deleted. Raises as `usable_experiment`."""
    number = str(experiment.experiment_id)
    if experiment.lifecycle_stage == "deleted":
        msg = (
            f"the experiment {experiment.name} was deleted in MLflow: bring it back with"
            f" `mlflow experiments restore --experiment-id {number}`"
        )
        raise RegistryError(msg)
    return number
