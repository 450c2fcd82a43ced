"""The parameters in `params.yaml`, typed; what each means is written there, beside its value."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines.run.params_file import ParamsFileError, describe_faults, read_params_file
from pipelines.run.paths import BASE
from validation.limits import LabelLimits, PersonaLimits, RetrievalLimits

PARAMS = Path("params.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A section of the file: no unknown key, no default that the file does not show."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Compute(Section):
    """Section `compute`."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
    precision: Literal["auto", "fp32", "bf16"]
    threads: PositiveInt


class Split(Section):
    """Shares of the three splits; they add up to 1."""

    train: Share
    val: Share
    test: Share

    @model_validator(mode="after")
    def _adds_up(self) -> "Split":
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            msg = f"got shares {self.train}, {self.val}, {self.test}; expected a sum of 1"
            raise ValueError(msg)
        return self


class WishShares(Section):
    """Shares of the groups of wishes that no training persona has."""

    val: Share
    test: Share


class Catalog(Section):
    """Section `catalog`."""

    source: Literal["studio", "folder"]
    folder: Path
    max_reject_fraction: Share
    max_megapixels: PositiveFloat
    max_side: Annotated[int, Field(ge=16)]
    products: Annotated[int, Field(ge=100)]
    sets: Annotated[int, Field(ge=0)]
    personas: Annotated[int, Field(ge=20)]
    subjects: Annotated[int, Field(ge=0)]
    unseen_interests: Annotated[int, Field(ge=0)]
    unseen_kinds: Annotated[int, Field(ge=0, le=25)]
    split: Split
    held_out_wishes: WishShares


class Captions(Section):
    """Section `captions`."""

    kind: Literal["given", "openai", "transformers"]
    prompt: Path
    complaint: Path
    max_words: PositiveInt
    max_output_tokens: PositiveInt


class Personas(Section):
    """Section `personas`."""

    kind: Literal["given", "file", "openai"]
    beside_given: bool
    count: PositiveInt
    language: Literal["en", "de", "es", "fr", "it", "nl", "pt"] | None
    min_words: PositiveInt
    max_words: PositiveInt
    path: Path
    column: str | None
    model: str | None
    interests_prompt: Path
    wishes_prompt: Path
    complaint: Path
    captions: PositiveInt
    interests: Annotated[int, Field(ge=4)]
    wishes_per_call: PositiveInt
    max_output_tokens: PositiveInt
    max_cosine: Annotated[float, Field(gt=0, le=1)]


class Base(Section):
    """Section `base`."""

    model: str
    pretrained: str | None
    detail: NonNegativeFloat
    finetune_stages: Annotated[int, Field(ge=0, le=2)]
    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: PositiveFloat
    head_epochs: PositiveInt
    head_learning_rate: PositiveFloat

    @model_validator(mode="after")
    def _stages_have_weights(self) -> "Base":
        if self.finetune_stages and self.pretrained != "imagenet":
            msg = (
                f"got finetune_stages {self.finetune_stages} with pretrained"
                f" {self.pretrained or 'null'}, expected pretrained: imagenet, whose stages it"
                " trains; or set finetune_stages: 0"
            )
            raise ValueError(msg)
        return self


class SimulatedTeacher(Section):
    """Section `teacher.simulated`."""

    noise: PositiveFloat
    position_bias: NonNegativeFloat
    malformed_rate: Share
    latency: NonNegativeFloat


class OpenAITeacher(Section):
    """Section `teacher.openai`."""

    base_url: str
    model: str
    key_variable: str
    temperature: NonNegativeFloat | None
    max_output_tokens: PositiveInt
    structured: bool
    concurrency: PositiveInt
    timeout: PositiveFloat
    max_retries: Annotated[int, Field(ge=0)]


class TransformersTeacher(Section):
    """Section `teacher.transformers`."""

    model: str
    method: Literal["logprobs", "generate"]
    batch_size: PositiveInt
    max_output_tokens: PositiveInt


class FileTeacher(Section):
    """Section `teacher.file`."""

    path: Path


class Teacher(Section):
    """Section `teacher`."""

    kind: Literal["simulated", "openai", "transformers", "file"]
    prompt: Path
    complaint: Path
    image_size: Annotated[int, Field(ge=16)]
    max_calls: PositiveInt | None
    max_cost_usd: NonNegativeFloat | None
    usd_per_million_input_tokens: NonNegativeFloat
    usd_per_million_output_tokens: NonNegativeFloat
    simulated: SimulatedTeacher
    openai: OpenAITeacher
    transformers: TransformersTeacher
    file: FileTeacher


class Tournaments(Section):
    """Section `tournaments`."""

    max_calls: PositiveInt | None
    group_size: Annotated[int, Field(ge=2)]
    repeats: PositiveInt
    max_calls_per_match: Annotated[int, Field(ge=2, multiple_of=2)]
    max_val_personas: PositiveInt
    max_test_personas: PositiveInt
    held_out_groups: Annotated[int, Field(ge=0)]


class Label(Section):
    """Section `label`."""

    groups: PositiveInt
    band_edges: tuple[Share, ...]
    band_sizes: tuple[Annotated[int, Field(ge=0)], ...]
    candidates: PositiveInt
    audit_fraction: Share
    pair_fraction: Share

    @model_validator(mode="after")
    def _bands_fit(self) -> "Label":
        if len(self.band_sizes) != len(self.band_edges) + 1:
            msg = f"got {len(self.band_sizes)} band sizes, expected {len(self.band_edges) + 1}"
            raise ValueError(msg)
        if list(self.band_edges) != sorted(set(self.band_edges)):
            msg = f"got band edges {self.band_edges}, expected them rising"
            raise ValueError(msg)
        if sum(self.band_sizes) < 2:
            msg = f"got band sizes {self.band_sizes}, expected groups of two pictures at least"
            raise ValueError(msg)
        return self


class Distill(Section):
    """Section `distill`."""

    recipe: Literal["default", "published"]
    train: Literal["map", "head", "whole"]
    rank: PositiveInt
    labels: Literal["all", "own"]
    mirror: bool
    caption_views: Share
    epochs: PositiveInt
    batch_groups: PositiveInt
    accumulate: PositiveInt
    loss: Literal["bradley-terry", "bradley-terry-sum", "plackett-luce"]
    temperature: PositiveFloat
    retention_weight: NonNegativeFloat
    retention_texts: NonNegativeFloat
    schedule: Literal["one-cycle", "decay"]
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    grad_clip: PositiveFloat
    spans: Annotated[tuple[PositiveShare, ...], Field(min_length=1)]
    blends: Annotated[tuple[PositiveShare, ...], Field(min_length=1)]
    max_caption_drop: Share
    patience: PositiveInt


class Concepts(Section):
    """Section `concepts`."""

    identifier: Annotated[str, Field(pattern=r"^\w+$")]
    steps: PositiveInt
    tolerance: Annotated[float, Field(ge=0, lt=1)]
    l2: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    learning_rate: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    rank: PositiveInt
    prompts_per_photo: Annotated[int, Field(ge=1, le=13)]
    pairs: Annotated[int, Field(ge=0)]


class Evaluate(Section):
    """Section `evaluate`."""

    captions: Path | None
    bootstrap_samples: Annotated[int, Field(ge=100)]
    permutations: Annotated[int, Field(ge=100)]


class Register(Section):
    """Section `register`."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    thumbnail_side: Annotated[int, Field(ge=16)]


class Params(Section):
    """The whole file."""

    seed: Annotated[int, Field(ge=0)]
    compute: Compute
    cycles: Annotated[dict[str, str], Field(min_length=1)]  # cycle -> the one before it
    catalog: Catalog
    captions: Captions
    personas: Personas
    check_personas: PersonaLimits
    base: Base
    teacher: Teacher
    tournaments: Tournaments
    label: Label
    check_labels: LabelLimits
    distill: Distill
    concepts: Concepts
    evaluate: Evaluate
    check_retrieval: RetrievalLimits
    registration: Register = Field(alias="register")

    @model_validator(mode="after")
    def _cycles_follow_each_other(self) -> "Params":
        expected = [BASE, *self.cycles][:-1]
        if list(self.cycles.values()) != expected:
            chain = ", ".join(
                f"{cycle}: {before}" for cycle, before in zip(self.cycles, expected, strict=True)
            )
            got = ", ".join(f"{cycle}: {before}" for cycle, before in self.cycles.items())
            msg = f"each of the cycles comes after the one before it, got {got}; expected {chain}"
            raise ValueError(msg)
        return self


def load_params(path: Path = PARAMS) -> Params:
    """Read and check the parameters.

    Raises:
        SystemExit: The file is missing or wrong; the message names each key, what was got and why.
    """
    try:
        content, lines = read_params_file(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{path} is missing: run this from the project's top folder"
        raise SystemExit(msg) from error
    except ParamsFileError as error:
        raise SystemExit(f"{path}: {error}") from error
    try:
        # As JSON and strictly: `true` is no integer then, while paths and tuples may be text and
        # lists.
        return Params.model_validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        faults = describe_faults(error, Params, lines)
        raise SystemExit("\n  ".join([f"{path}:", *faults])) from error
