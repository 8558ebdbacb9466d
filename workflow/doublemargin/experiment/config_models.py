"""What may stand in ``config.yaml``: its keys, their types, limits, defaults and meaning, section by section.

The one source of the config's checks, of the JSON schema for editors and of the page of keys. Needs no torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from dmcore.registries import attack, forward_domain, regularizer
from doublemargin.experiment.config_report import Report, Split
from doublemargin.experiment.config_types import (
    ArchitectureName,
    AttackName,
    FileName,
    KeysSchema,
    Md5,
    MethodName,
    Name,
    ReaderName,
    RegularizerName,
    Section,
    Seed,
    Seeds,
    Sha256,
    Text,
    Url,
    check_with,
)

Init = Literal["normal", "ibp"]


class Normalization(Section):
    """Channel normalisation, applied inside the network so that ε stays in pixel scale."""

    mean: list[float]
    """The mean of each channel."""
    std: list[PositiveFloat]
    """The standard deviation of each channel."""


class Augmentation(Section):
    """Random changes of each training batch."""

    pad: NonNegativeInt | None = None
    """How many rows of zeros are put on each side before a random crop back to the old size."""
    flip: bool | None = None
    """Swap left and right in half of the images."""


class Validation(Section):
    """A part of the training set that is held out of training."""

    share: Annotated[float, Field(gt=0, lt=1)]
    """How much of it is held out."""
    seed: Seed
    """Seed of the random choice."""
    by: Literal["track", "point"]
    """Hold out single points, or whole tracks, the near copies that are photographs of one object. Few data sets have
    tracks."""


class SourceFile(Section):
    """What pins a file."""

    sha256: Sha256 | None = None
    """SHA-256 of the file."""
    md5: Md5 | None = None
    """MD5 of the file where its publisher has no other."""
    unpacked_sha256: Sha256 | None = None
    """SHA-256 of what the gzip-compressed file unpacks to."""


class Source(Section):
    """A copy of a data set."""

    format: ReaderName
    """How its files are read."""
    variant: Text
    """What is not official about this copy, else `official`. Tables made with another one say so."""
    urls: list[Url] | None = None
    """Where its files can be downloaded, each what stands before a file's name."""
    files: Annotated[dict[FileName, SourceFile], Field(min_length=1)]
    """Its files, in the reader's order, each pinned to a hash; `{}` where `content` pins them all."""
    content: Sha256 | None = None
    """SHA-256 of the decoded images and labels. `dmcore data` prints it."""


class Dataset(Section):
    """A data set, and where its files come from. No key has a default: what is not given is not in a specification."""

    label: str
    """The name in headings."""
    shape: Annotated[list[PositiveInt], Field(min_length=3, max_length=3)]
    """Channels, height and width of an image."""
    classes: Annotated[int, Field(ge=2)]
    """How many classes there are."""
    train: PositiveInt
    """How many training points there are."""
    test: PositiveInt
    """How many test points there are."""
    normalize: Normalization | None = None
    """Channel normalisation; none if left out."""
    augment: Augmentation | None = None
    """Random changes of each training batch; none if left out."""
    validation: Validation | None = None
    """A part of the training set that is held out of training; none if left out."""
    sources: Annotated[list[Source], Field(min_length=1)]
    """Copies of the data set; at each place they are looked for in this order."""

    @model_validator(mode="after")
    def _normalize_every_channel(self) -> Dataset:
        for key, values in self.normalize or ():
            if len(values) != self.shape[0]:
                raise ValueError(f"normalize.{key} has {len(values)} values for {self.shape[0]} channels")
        return self


class Architecture(Section):
    """How tables name a network. `dmcore info --architectures` lists its layers."""

    label: str
    """The name in headings."""
    layers: PositiveInt
    """How many layers the paper counts; for headings."""


class Attack(Section):
    """An attack on each training batch at ε. The options of its kind stand beside `kind`."""

    model_config = ConfigDict(extra="allow")

    kind: AttackName
    """Which attack."""

    @model_validator(mode="after")
    def _check_options(self) -> Attack:
        check_with(attack.check, self.kind, self.model_extra)
        return self


class Regularizer(Section):
    """A term λR of the loss. The options of its kind stand beside `kind`."""

    model_config = ConfigDict(extra="allow")

    kind: RegularizerName
    """Which regulariser R."""
    weight: NonNegativeFloat
    """Its final weight λ."""
    ramp: bool | Literal["fall"] = False
    """Let the weight grow from 0 with the schedule's warm-up and ramp, as ε does, or, with `fall`, fall to 0 while ε
    grows; else it is λ from the start."""

    @model_validator(mode="after")
    def _check_options(self) -> Regularizer:
        check_with(regularizer.check, self.kind, self.model_extra)
        if "domain" in self.model_extra:
            check_with(forward_domain.check, self.model_extra["domain"])
        for key in {"attack", "around"} & self.model_extra.keys():
            Attack.model_validate(self.model_extra[key])
        return self


class Pruning(Section):
    """What is cut away; at least one of the two."""

    weights: PositiveFloat | None = None
    """Weights smaller than this in magnitude are set to 0 once the ramp is over; none if left out."""
    relus: Annotated[float, Field(ge=0, lt=0.5)] | None = None
    """After training, ReLUs that take one side on all but this share of training inputs become the identity or 0; none
    if left out."""

    @model_validator(mode="after")
    def _prune_something(self) -> Pruning:
        if self.weights is None and self.relus is None:
            raise ValueError("needs 'weights' or 'relus'")
        return self


class MethodOnDataset(Section):
    """What differs on one data set; each key given here replaces the method's own."""

    attack: Attack | None = None
    """Another attack."""
    regularizers: list[Regularizer] | None = None
    """Other terms."""
    pruning: Pruning | None = None
    """Other pruning."""
    members: PositiveInt | None = None
    """Another number of networks."""
    init: Init | None = None
    """Another initialisation."""


class Method(Section):
    """A training method. What each is in the paper is in docs/methods.md."""

    label: str
    """The name in tables and legends."""
    baseline: bool = False
    """Left out when the best of a column is marked, as normal training is in the paper."""
    own: bool = False
    """Whether it is the paper's own method or a variant of it, blue in tables."""
    attack: Attack | None = None
    """The base loss is taken on what this attack makes of a batch at ε; on the clean inputs if left out."""
    regularizers: list[Regularizer]
    """The terms λR that are added to the base loss; `[]` for none."""
    pruning: Pruning | None = None
    """What is cut away; none if left out."""
    members: PositiveInt = 1
    """Networks trained together on averaged logits and margins, as an ensemble."""
    init: Init = "normal"
    """How weights begin: `normal`, the paper's, N(0, 1/fan-in); `ibp`, Shi et al.'s (2021) for interval bounds."""
    per_dataset: dict[Name, MethodOnDataset] = Field({})
    """What differs on a data set."""
    grid: dict[str, list[bool | float | str]] | None = None
    """A sweep: a key of a term (`alpha`, or `worst_case.weight` where several terms have it) and its values. The method
    then stands for one method for each combination, `<method>-<key><value>`, in rows too."""


class Training(Section):
    """The training on one data set."""

    epochs: Annotated[float, Field(gt=0, le=100_000)]
    """How many passes over the training set."""
    batch: PositiveInt
    """How many points a step takes."""
    optimizer: Literal["adam", "sgd"]
    """The optimiser."""
    lr: PositiveFloat
    """The learning rate at the start."""
    lr_drops: list[PositiveInt]
    """The steps after which the learning rate is divided by `lr_divisor`."""
    lr_divisor: Annotated[float, Field(gt=1)] = 10.0
    """What it is divided by."""
    warmup: NonNegativeInt
    """Steps at first that have λ = 0 and ε = 0."""
    ramp: NonNegativeInt
    """Steps after that in which both grow to the final values."""
    ramp_shape: Literal["linear", "smooth"] = "linear"
    """How they grow: along a line, or, `smooth`, with x⁴ in the first quarter of the ramp and then along a line."""
    clip: NonNegativeFloat = 0.0
    """The largest ℓ2 norm of all gradients together; 0 leaves them alone."""


Share = Annotated[float, Field(ge=0, le=1)]


class Shares(Section):
    """Parts of a training, as shares of its steps."""

    warmup: Share
    """Of the warm-up."""
    ramp: Share
    """Of the ramp after it."""
    lr_drops: list[Share]
    """Where the learning rate drops."""


class Schedule(Section):
    """How long and at what rates each data set is trained: its own `training`, or another schedule's times `factor`."""

    report: str
    """The report, a name under `reports`, whose models it trains."""
    scaled_from: str | None = None
    """Another schedule that this one is a shorter or longer copy of."""
    factor: PositiveFloat | None = None
    """What all step counts of that schedule are multiplied by."""
    shares: Shares | None = None
    """Where a copy's warm-up, ramp and drops lie, if not where that schedule has them: what is shortened needs more of
    its time for the ramp, and late drops."""
    method_factors: dict[MethodName, PositiveFloat] = Field({})
    """What the step counts of methods that are trained for longer or shorter than others are multiplied by."""
    training: dict[Name, Training] | None = None
    """The training on each data set."""

    @model_validator(mode="after")
    def _either_own_or_scaled(self) -> Schedule:
        given = {key for key in ("training", "scaled_from", "factor") if getattr(self, key) is not None}
        if given not in ({"training"}, {"scaled_from", "factor"}):
            raise ValueError("needs either 'training', or 'scaled_from' with 'factor'")
        if self.shares is not None and self.training is not None:
            raise ValueError("'shares' go with 'scaled_from'; 'training' says all steps itself")
        return self


class Certification(Section):
    """What all certifications share."""

    split: Split = "test"
    """The points that are certified: of the test set, or of the `validation` split, to choose between methods by."""

    points_seed: Seed
    """Seed of the random selection of test points."""
    clip_input: bool
    """Cut the ball of perturbed inputs to [0, 1]; sound and tighter, but not what the paper does."""
    intersect_ibp: bool = False
    """Let no bound of a linear relaxation leave the interval bounds; sound and nearly always tighter, but not what the
    paper does."""


class Config(Section):
    """What is trained, how, and what is certified."""

    schedule: str
    """The schedule whose report `snakemake` builds when no target is named."""
    seeds: Seeds
    """Random seeds; each model is trained once with each."""
    data_places: list[Text] = Field([])
    """Folders or URLs of yours that have the data sets' source files, each in a folder of the data set's name. They are
    tried in this order before anything is downloaded."""
    plugins: list[Text] = Field([])
    """Python files of yours that register architectures, attacks, certifiers, domains, figures, readers, regularisers.
    They are looked for where Snakemake runs, then in this repository."""
    datasets: dict[Name, Dataset]
    """The data sets by name."""
    architectures: dict[ArchitectureName, Architecture]
    """The networks in use."""
    methods: dict[MethodName, Method]
    """The training methods by name."""
    schedules: dict[Name, Schedule]
    """The training schedules by name. Results lie in a folder of the schedule's name."""
    certification: Certification
    """Settings of all certifications."""
    reports: dict[Name, Report]
    """Sets of tables and figures by name."""


def json_schema() -> dict[str, Any]:
    """The JSON schema of ``config.yaml``, by which editors complete and check it."""
    return Config.model_json_schema(schema_generator=KeysSchema)
