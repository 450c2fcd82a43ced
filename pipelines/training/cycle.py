"""One cycle of distillation, from what the cycle before it left to what the next one needs.

D embedding width.
"""

import shutil

import numpy as np
from numpy.typing import NDArray

from pipelines.held_out.choice import NOTHING_LEARNED, Judges, Restraint, Validation, best_of
from pipelines.run.params import Distill, Params
from pipelines.run.paths import (
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    cycle_model,
    cycle_state,
    product_vectors,
    rankings_file,
)
from pipelines.run.stage import derive_seed, say
from pipelines.training.distillation import CURVES, Distillation, Place
from pipelines.training.preferences import Preferences
from pipelines.training.processes import Team
from pipelines.training.state import Checkpoint, State, read_state, write_state
from pipelines.training.student import Student
from retrieval.compute import resolve_precision
from retrieval.encoder import load_encoder, save_encoder
from retrieval.storage.files import atomic_folder
from retrieval.storage.schema import PERSONAS, PRODUCTS, RANKINGS, RankingRow, read_rows
from retrieval.storage.vectors import read_vectors, write_vectors


def prepare(params: Params, cycle: str, team: Team) -> tuple[Distillation, State]:
    """A cycle's training before its first step, and the state of the cycle before it."""
    settings, previous = params.distill, params.cycles[cycle]
    before = read_state(cycle_state(previous))
    products = read_rows(PRODUCTS_FILE, PRODUCTS)
    rankings = read_rankings(settings, cycle)
    encoder = load_encoder(cycle_model(previous), team.device)
    preferences = Preferences(rankings, products, settings, team.device)
    with team.leader_first():
        student = Student(encoder, settings, products, before.get("base", {}), training_texts())
    names = list(params.cycles)
    seed = derive_seed(params.seed, "distill", cycle)
    place = Place(cycle, names.index(cycle), len(names), seed)
    precision = resolve_precision(params.compute.precision, team.device)
    if settings.train in ("head", "map"):
        precision = "fp32"  # a small product of matrices: casting would cost more
    return Distillation(student, preferences, settings, place, team, precision), before


def read_rankings(settings: Distill, cycle: str) -> list[RankingRow]:
    """What a cycle trains on: the rankings of all cycles so far, or those of its own groups."""
    rankings = read_rows(rankings_file(cycle), RANKINGS)
    if settings.labels == "all":
        return rankings
    return [row for row in rankings if row["group_id"].rpartition("-")[0] == cycle]


def training_texts() -> NDArray[np.float32]:
    """The vectors (T, D) of the training personas' texts."""
    personas = read_rows(PERSONAS_FILE, PERSONAS)
    ids = [persona["persona_id"] for persona in personas if persona["split"] == "train"]
    return read_vectors(PERSONA_VECTORS).rows(ids)


def train(params: Params, cycle: str, team: Team, checkpoint: Checkpoint | None) -> Distillation:
    """Train a cycle, from its last checkpoint if there is one."""
    training, before = prepare(params, cycle, team)
    resumed = team.from_leader(checkpoint.read() if checkpoint is not None else None)
    if resumed or before:
        training.restore(resumed or before)
    if resumed and team.leads:
        say(f"distill {cycle}: resumed at step {len(training.curves['preference'])}")
    training.run(checkpoint)
    return training


def restraints(settings: Distill) -> list[Restraint]:
    """Every pair of span and blend, the first of each list first; spans hold back maps alone."""
    spans = settings.spans if settings.train == "map" else (1.0,)
    return [Restraint(span, blend) for span in spans for blend in settings.blends]


def hold_back(training: Distillation, judges: Judges) -> tuple[Restraint, Validation]:
    """How far the cycle's student goes, and what it does there: the best pair of span and blend.

    Where each of them does harm, the student stays the base model.
    """
    rows = {row["product_id"]: at for at, row in enumerate(read_rows(PRODUCTS_FILE, PRODUCTS))}
    shown = [rows[product_id] for product_id in judges.product_ids]
    tried = []
    for restraint in [*restraints(training.settings), NOTHING_LEARNED]:
        with training.student.held_back(restraint):
            tried.append((restraint, judges.validate(training.student.vectors(shown))))
    harmless = best_of([found for _, found in tried[:-1]], training.settings.max_caption_drop)
    return tried[-1 if harmless is None else harmless]


def save(training: Distillation, cycle: str, restraint: Restraint) -> None:
    """Write the model, the state that the next cycle goes on from, and all products' vectors.

    The model is held back; the state is not.
    """
    state = {**training.state(), "curves": {name: [] for name in CURVES}}
    student = training.student
    ids = [product["product_id"] for product in read_rows(PRODUCTS_FILE, PRODUCTS)]
    with student.held_back(restraint):
        vectors_ND = student.vectors()
        base = student.fold()
        save_encoder(student.encoder, cycle_model(cycle))
    write_state(cycle_state(cycle), {**state, "base": base})
    write_vectors(product_vectors(cycle), ids, vectors_ND)


def pass_through(params: Params, cycle: str) -> None:
    """After an early stop: the previous cycle's model is this one's."""
    previous = params.cycles[cycle]
    with atomic_folder(cycle_model(cycle)) as temporary:
        shutil.copytree(cycle_model(previous), temporary, dirs_exist_ok=True)
    write_state(cycle_state(cycle), read_state(cycle_state(previous)))
    vectors = read_vectors(product_vectors(previous))
    write_vectors(product_vectors(cycle), vectors.ids, vectors.vectors)
