"""The bundle of a revision: new pictures read by the champion's models, all else taken over."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.run.params import Params
from pipelines.sync.champion import Champion
from pipelines.sync.folder import Found, with_thumbnails
from pipelines.sync.vectors import (
    Rows,
    embed_captions,
    embed_pictures,
    in_order,
    known_vectors,
    recaptioned,
)
from registry.bundle import Bundle, Product
from registry.bundle_writer import thumbnail_of
from registry.lineage import Revision
from registry.revision import Catalogue, compare_catalogues, write_revision
from retrieval.images import PictureError, open_picture, save_picture
from retrieval.storage.files import sha256_file
from retrieval.storage.vectors import Vectors


def write_bundle(folder: Path, champion: Champion, found: Found, params: Params) -> None:
    """Write the bundle of the champion with the products that were found.

    Args:
        folder: The bundle's, new; copies of new pictures lie beside it.
        champion: What serves.
        found: The products.
        params: All of them.

    Raises:
        ValueError: A picture changed meanwhile, or a model is damaged.
    """
    new = _copy_new(folder.parent, found, params)
    products = with_thumbnails(
        found.products,
        {id_: thumbnail_of(path, params.registration.thumbnail_side) for id_, path in new.items()},
    )
    known = [
        (champion.trained, champion.known.trained),
        (champion.bundle, champion.known.served),
    ]
    student = known_vectors(known, products, "student")
    base = known_vectors(known, products, "base")
    captions = recaptioned(products, champion.known.trained)
    read = _read_new(champion.bundle, new, captions, params)
    write_revision(
        folder,
        champion.trained,
        Catalogue(
            products,
            in_order(products, student | read.student),
            in_order(products, base | read.base),
            read.captions,
        ),
        _record(champion, found, products),
        champion.version.name,
    )


def _copy_new(folder: Path, found: Found, params: Params) -> dict[str, Path]:
    """The pictures that no vector is known of, in the form of the catalogue; by product id."""
    copies = {}
    for number, product in enumerate(found.products):
        if not product.thumbnail:
            copy = folder / f"{number}.jpg"
            source = found.pictures[product.product_id]
            picture = open_picture(source, params.catalog.max_megapixels)
            save_picture(picture, copy, params.catalog.max_side)
            if sha256_file(copy) != product.image_sha256:
                msg = f"{source} changed while it was read; run this again"
                raise PictureError(msg)
            copies[product.product_id] = copy
    return copies


@dataclass(frozen=True)
class _Read:
    """What the models read."""

    student: Rows
    base: Rows
    captions: Vectors


def _read_new(
    bundle: Bundle, pictures: dict[str, Path], captions: dict[str, str], params: Params
) -> _Read:
    """What is new to the models; they are not loaded where nothing is."""
    if not pictures and not captions:
        return _Read({}, {}, in_order([], {}))
    import torch

    from retrieval.compute import resolve_device

    torch.set_num_threads(params.compute.threads)
    encoder = bundle.load_encoder(resolve_device(params.compute.device))
    read = embed_captions(encoder, captions)
    student = embed_pictures(encoder, pictures, "champion")
    base: Rows = {}
    if pictures:
        bundle.make_base(encoder)
        base = embed_pictures(encoder, pictures, "base model")
    return _Read(student, base, read)


def _record(champion: Champion, found: Found, products: list[Product]) -> Revision:
    """What the lineage says: the catalogue against the one that was trained with."""
    difference = compare_catalogues([*champion.known.trained.values()], products)
    return Revision(
        of=champion.version.trained,
        of_sha256=champion.trained.digest,
        added=len(difference.added),
        removed=len(difference.removed),
        changed=len(difference.changed),
        table_sha256=found.table_sha256,
        made=datetime.now(UTC),
    )
