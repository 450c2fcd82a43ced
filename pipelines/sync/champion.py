"""What serves, and what it was before its catalogue was changed."""

from dataclasses import dataclass

from pipelines.sync.folder import Known
from registry.bundle import Bundle
from registry.errors import RefusedError
from registry.store import fetch_bundle, fetch_trained
from registry.versions import CHAMPION, Version, find_version


@dataclass(frozen=True)
class Champion:
    """What serves, and what it was before its catalogue was changed."""

    version: Version
    bundle: Bundle
    trained: Bundle  # the same where it is no revision
    known: Known


def open_champion(name: str) -> Champion:
    """Open the champion, and the version that it revises.

    Raises:
        RefusedError: It does not bring its base model.
        RegistryError: There is no champion, or it is damaged.
        UnreachableError: The registry does not answer.
    """
    version = find_version(name, CHAMPION)
    bundle = fetch_bundle(version)
    trained = fetch_trained(version) or bundle
    if not bundle.has_base_model:
        msg = (
            f"version {version.label} was registered before bundles brought their base model, so"
            " that new pictures cannot be read as it read them: run `dvc repro`, then"
            " `kindred promote`"
        )
        raise RefusedError(msg)
    served = {product.product_id: product for product in bundle.read_products()}
    first = (
        served
        if trained is bundle
        else {product.product_id: product for product in trained.read_products()}
    )
    return Champion(version, bundle, trained, Known(served, first))
