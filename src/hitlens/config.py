"""RunConfig: the settings of all stages in one YAML; an unknown key is an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from hitlens.datasets.regions import Region
from hitlens.datasets.splits import SplitConfig
from hitlens.datasets.transforms import Curve, Normalise
from hitlens.errors import ConfigError, HitlensError, NotFoundError, choose_from, foreign_errors_as
from hitlens.evaluate.config import EvaluateConfig
from hitlens.io.names import expanded, has_ending
from hitlens.models import MODELS, check_settings
from hitlens.models.preprocessing import ClassScores, TargetCurve, TargetUnits
from hitlens.settings import explain, merged, read_override, read_yaml, text_of_file
from hitlens.sql import readable
from hitlens.train.config import TrackConfig, TrainConfig
from hitlens.tune.config import FinalistsConfig, LongerConfig, SearchConfig
from hitlens.tune.results import Parameter, Value
from hitlens.tune.space import grid_points, known_settings, parameters_of, probes


class DataConfig(BaseModel):
    """Which events.

    Attributes:
        files: files of any readable layout; ``~`` and ``$VARIABLES`` are replaced, all else is the name.
        layout: name of the layout; recognised from the files where empty.
        options: options of the layout's reader.
        selection: SQL condition over truth columns; events where it does not hold are left out and counted.
        max_events: use at most so many events, the first ones; 0 for all.
        on_bad_event: "raise", or "skip" to leave malformed events out and count them.
        memory: "resident" reads all events into memory; "streaming" leaves images in their native files and
            reads blocks of them while it trains; "auto" streams native files whose images would take more
            than half of the memory that is free.
        shuffle_events: streamed events that are shuffled together: more mix better, and take more memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[str, ...] = ()
    layout: str = ""
    options: dict[str, str] = {}
    selection: Annotated[str, AfterValidator(readable)] = ""
    max_events: int = Field(0, ge=0)
    on_bad_event: Literal["raise", "skip"] = "raise"
    memory: Literal["auto", "resident", "streaming"] = "auto"
    shuffle_events: int = Field(65_536, ge=16)

    @field_validator("files")
    @classmethod
    def _are_expanded(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(expanded(file)) for file in files)


class ModelConfig(BaseModel):
    """Which network, and what it is given.

    Attributes:
        name: key of `hitlens.models.MODELS`.
        settings: the architecture's own settings.
        scaling: curves applied to the pixels; each makes one input channel.
        normalise: "standard" gives training pixels mean 0 and deviation 1, "minmax" maps them to 0..1,
            "full_range" maps 0 and the largest value their integer type can hold to 0 and 1.
        symmetrise: average predictions over the detector's symmetries, so that a flipped event gets exactly
            the flipped answer; as many times slower as there are symmetries. Temperature, predictions and
            evaluation of the run are all of that kind; `hitlens predict` may be told otherwise.
        calibrate: fix a temperature on the validation split, so that scores are probabilities.
        regions: part and coarseness of the images the network is shown, by view; "all" for every view.
        target_curve: by head that regresses, "log" measures errors relative to the target; "linear" else.
        target_units: by head that regresses, what it learns: targets in units of their "spread" around their
            mean, divided by the "maximum" of the training split, or "physical", as they are; "spread" else.
        class_scores: how the outputs of several classes become shares: "softmax", or "sigmoid", each class a
            sigmoid of its own, divided by their sum.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "residual_cnn"
    settings: dict[str, Any] = {}
    scaling: tuple[Curve, ...] = Field(("log1p",), min_length=1)
    normalise: Normalise = "standard"
    symmetrise: bool = False
    calibrate: bool = True
    regions: dict[str, Region] = {}
    target_curve: dict[str, TargetCurve] = {}
    target_units: dict[str, TargetUnits] = {}
    class_scores: ClassScores = "softmax"


class RunConfig(BaseModel):
    """Everything that decides a run.

    Attributes:
        title: heading of the report.
        detector: name of the detector, or the path of the YAML file that describes one.
        task: name of one of its tasks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    detector: str
    task: str
    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    track: TrackConfig = TrackConfig()

    @model_validator(mode="after")
    def _files_are_those_of_the_splits(self) -> RunConfig:
        listed, given = self.split.files, self.data.files
        if listed and not given:
            object.__setattr__(self, "data", self.data.model_copy(update={"files": listed}))
        elif listed and set(map(Path, listed)) != set(map(Path, given)):
            odd = min(set(map(Path, listed)) ^ set(map(Path, given)))
            raise ValueError(
                f"split names the files of each split, and data.files (--data) others: '{odd}' is in one of "
                "the two only. Leave data.files out, or name the same files."
            )
        return self


class StudyConfig(BaseModel):
    """Several runs on the same events, split and initial weights, which differ in named settings only.

    Attributes:
        title: heading of the comparison.
        question: what the study asks, one sentence.
        split: events the variants are compared on. The test split answers a question of physics; to choose
            between variants take the validation split.
        slices: names of slice variables of the detector in which the variants are compared as well.
        together: most variants trained at once, where a short measurement finds that faster; weights are then
            those of each alone but for rounding. 1 for one after the other.
        base: settings all runs share.
        variants: by name of the run, settings that differ, keys as ``train.epochs``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    question: str
    split: Literal["validation", "test"] = "validation"
    slices: tuple[str, ...] = ()
    together: int = Field(1, ge=1)
    base: RunConfig
    variants: dict[str, dict[str, Any]] = Field(min_length=2)

    def run_configs(self) -> dict[str, RunConfig]:
        """Return the settings of each run, by name."""
        base = self.base.model_dump(mode="json")
        return {name: _validated(merged(base, changes), name) for name, changes in self.variants.items()}


class TuneConfig(BaseModel):
    """A search for settings: many runs on the same events, of which one is chosen.

    Attributes:
        title: heading of the page.
        question: what the search asks, one sentence.
        base: settings all trials share.
        search: which settings are searched, and how.
        finalists: the best few repeated with further seeds.
        longer: the chosen settings trained longer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    question: str = ""
    base: RunConfig
    search: SearchConfig
    finalists: FinalistsConfig = FinalistsConfig()
    longer: LongerConfig = LongerConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> TuneConfig:
        if self.base.train.seed in self.finalists.seeds:
            raise ValueError(
                f"finalists.seeds has {self.base.train.seed}, the seed of the search itself "
                "(base.train.seed). Give other ones."
            )
        searched = "train.epochs" in self.search.space
        if self.longer.epochs and not searched and self.longer.epochs <= self.base.train.epochs:
            raise ValueError(
                f"longer.epochs must be more than base.train.epochs, {self.base.train.epochs}, or 0. "
                f"Got {self.longer.epochs}."
            )
        return self

    def parameters(self) -> tuple[Parameter, ...]:
        """Return what is searched.

        Raises:
            ConfigError: a path is no setting, or one that a search may not touch.
        """
        return parameters_of(self.search.space, known_settings(RunConfig, self._own_settings()))

    def run_config(self, values: Mapping[str, Any]) -> RunConfig:
        """Return the settings of one training.

        Args:
            values: of the settings in which it differs from base, by path.

        Raises:
            ConfigError: a value is out of range.
        """
        plain = {path: list(one) if isinstance(one, tuple) else one for path, one in values.items()}
        content = merged(self.base.model_dump(mode="json"), plain)
        return _validated(content, f"search.space ({_named(values)})")

    def run_configs(self) -> dict[str, RunConfig]:
        """Return the settings of every point of a grid, else of every choice and both ends of every range.

        Raises:
            ConfigError: a path is wrong, or a value out of range.
        """
        points = grid_points if self.search.method == "grid" else probes
        found = {}
        for values in points(self.parameters()):
            config = self.run_config(values)
            named = _named(values)
            try:
                check_settings(config.model.name, config.model.settings)
            except HitlensError as error:
                raise ConfigError(f"search.space ({named}): {error}") from None
            found[named] = config
        return found

    def _own_settings(self) -> dict[str, Any]:
        """Return the kinds of the settings of the network, or of all networks that are searched."""
        names = self.search.space.get("model.name") or (self.base.model.name,)
        found: dict[str, Any] = {}
        for name in names:
            own = MODELS[name].config.model_fields if name in MODELS else {}
            found |= {key: field.annotation for key, field in own.items()}
        return found


def _named(values: Mapping[str, Value]) -> str:
    return ", ".join(f"{path} = {value}" for path, value in values.items())


#: What a recipe may describe.
Recipe = RunConfig | StudyConfig | TuneConfig


def list_recipes() -> list[str]:
    """Return the names of the shipped recipes.

    Examples:
        >>> "cebr/multiplicity" in list_recipes()
        True
    """
    root = resources.files("hitlens") / "recipes"
    names = []
    for folder in root.iterdir():
        if folder.is_dir():
            names += [f"{folder.name}/{f.name[:-5]}" for f in folder.iterdir() if f.name.endswith(".yaml")]
    return sorted(names)


def load_config(source: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Return the settings of a recipe: a shipped one by name, or a YAML file.

    Args:
        source: for example ``cebr/multiplicity`` or ``my_run.yaml``.
        overrides: settings to change, each ``key=value`` with keys as ``train.epochs``; for a study or
            a search they change what all its runs share, and keys as ``search.trials``, ``finalists.count``
            and ``longer.epochs`` the search.

    Raises:
        NotFoundError: no recipe and no file has that name.
        ConfigError: the YAML cannot be read, or a key or value is wrong.

    Examples:
        >>> load_config("cebr/multiplicity", ["train.epochs=5"]).train.epochs
        5
    """
    with foreign_errors_as(lambda reason: ConfigError(f"{source} is no recipe: {reason}.")):
        return _loaded(source, overrides)


def _loaded(source: str | Path, overrides: Iterable[str]) -> Recipe:
    content = read_yaml(_recipe_text(source), str(source))
    kind = _kind(content)
    for override in overrides:
        key, value = read_override(override)
        own = kind is RunConfig or (kind is TuneConfig and key.partition(".")[0] in _OF_A_SEARCH)
        content = merged(content, {key if own else f"base.{key}": value})
    if kind is RunConfig:
        return _validated(content, str(source))
    try:
        recipe = kind(**content)
    except ValidationError as error:
        raise explain(error, kind, str(source)) from None
    if not isinstance(recipe, RunConfig):
        recipe.run_configs()
    return recipe


#: Sections of a search's recipe beside the settings its trials share.
_OF_A_SEARCH = ("search", "finalists", "longer")


def _kind(content: Mapping[str, Any]) -> type[RunConfig] | type[StudyConfig] | type[TuneConfig]:
    if "variants" in content:
        return StudyConfig
    return TuneConfig if "search" in content else RunConfig


def dump_config(config: BaseModel) -> str:
    """Return settings as YAML, in the order they are described."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _recipe_text(source: str | Path) -> str:
    path = expanded(source)
    if has_ending(path, (".yaml", ".yml")):
        if not path.is_file():
            raise NotFoundError(
                f"No file {path}. Give a YAML file or a shipped recipe. {choose_from('', list_recipes())}"
            )
        return text_of_file(path)
    if str(source) not in list_recipes():
        raise NotFoundError(f"No recipe is called '{source}'. {choose_from(str(source), list_recipes())}")
    return (resources.files("hitlens") / "recipes" / f"{source}.yaml").read_text(encoding="utf-8")


def _validated(content: Mapping[str, Any], source: str) -> RunConfig:
    try:
        return RunConfig(**content)
    except ValidationError as error:
        raise explain(error, RunConfig, source) from None
