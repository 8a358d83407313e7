"""Components by slot and name; their keyword-only parameters are the options a study may set."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_type_hints

from docstring_parser import parse as parse_docstring
from pydantic import BaseModel, ConfigDict, Field, create_model

from cmae_ablate.components.signature import Fields
from cmae_ablate.errors import UserError, suggest

T = TypeVar("T")
Factory = TypeVar("Factory", bound=Callable[..., Any])

SLOTS: dict[str, Registry[Any]] = {}
"""Every slot's registry by its path in a trial (`decoder`, `objectives.contrastive`, ...)."""


@dataclass(frozen=True)
class Facts:
    """What a component says of itself without being built.

    Attributes:
        doc: Its docstring.
        metrics: Of an evaluation: the metrics that it returns.
        trains_encoder: Of an evaluation: whether it trains an encoder's weights.
        control_of: Of an evaluation: the name of the one whose control it is.
        reads_tokens: Of an evaluation: whether it reads patch tokens.
        caveat: Of a data set: what results on it cannot show.
    """

    doc: str
    metrics: tuple[str, ...] = ()
    trains_encoder: bool = False
    control_of: str | None = None
    reads_tokens: bool = False
    caveat: str = ""

    @classmethod
    def of(cls, factory: Callable[..., Any]) -> Facts:
        """Of a component's class."""
        return cls(
            inspect.getdoc(factory) or "",
            tuple(getattr(factory, "metrics", ())),
            bool(getattr(factory, "trains_encoder", False)),
            getattr(factory, "control_of", None),
            bool(getattr(factory, "reads_tokens", False)),
            str(getattr(factory, "caveat", "")),
        )


@dataclass(frozen=True)
class Deferred(Generic[T]):
    """A component that is known but not imported: the first call imports it.

    Attributes:
        module: Where it is.
        qualname: What it is called there.
        facts: What it says of itself.
        load: Imports it.
    """

    module: str
    qualname: str
    facts: Facts
    load: Callable[[], Callable[..., T]]

    def __call__(self, *args: Any, **options: Any) -> T:
        """Import it and build it."""
        return self.load()(*args, **options)


@dataclass(frozen=True)
class ComponentSpec(Generic[T]):
    """One registered component: how to build it and what may be set.

    Attributes:
        factory: Its class, or a function that returns one; `Deferred` where it is not imported yet.
        options: What may be set, made from its signature.
        files: Options that name files; a fingerprint covers what is in them, not where they lie.
        epochs: The option that says for how many epochs an evaluation trains.
        warmup: The option that says how many epochs pass before an evaluation's or a crop's schedule begins.
        spans: Options of a crop in epochs, by the share of the training that each is where it is None.
        normalization: The option that says which mean and deviation a backbone's weights expect.
        place: The option that says what a data set's images are, where its name does not.
        draw: The option by which a data set draws its images, or its parts, at random.
    """

    slot: str
    name: str
    version: int
    factory: Callable[..., T]
    options: type[BaseModel]
    files: tuple[str, ...] = ()
    epochs: str | None = None
    warmup: str | None = None
    normalization: str | None = None
    place: str | None = None
    draw: str | None = None
    spans: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        roles = (
            *self.files,
            *self.spans,
            self.epochs,
            self.warmup,
            self.normalization,
            self.place,
            self.draw,
        )
        for role in filter(None, roles):
            if role not in self.options.model_fields:
                raise UserError(
                    f"{self.slot}: '{self.name}' is registered with the option '{role}', which its "
                    f"constructor does not have; {suggest(role, list(self.options.model_fields))}"
                )

    @property
    def module(self) -> str:
        """The module that registers it."""
        return self.factory.module if isinstance(self.factory, Deferred) else self.factory.__module__

    @property
    def facts(self) -> Facts:
        """What it says of itself."""
        return self.factory.facts if isinstance(self.factory, Deferred) else Facts.of(self.factory)

    @property
    def summary(self) -> str:
        """The first line of the component's docstring."""
        return (self.facts.doc or self.name).splitlines()[0]

    def validate(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in defaults and check types and ranges.

        Raises:
            pydantic.ValidationError: An option is unknown, of the wrong type, or out of range.
        """
        # Validated as JSON: strict about types ("8" is no integer), yet a list may fill a tuple.
        return self.options.model_validate_json(json.dumps(dict(options))).model_dump(mode="json")

    def build(self, options: Mapping[str, Any], *args: Any) -> T:
        """Construct the component: `args` come from assembly, `options` from the trial."""
        values = self.options.model_validate_json(json.dumps(dict(options)))
        return self.factory(*args, **{key: getattr(values, key) for key in type(values).model_fields})


class Registry(Generic[T]):
    """The components of one slot.

    Args:
        slot: The slot's path in a trial, such as `decoder` or `objectives.position`.
        optional: Whether `none` is a legal choice; an optional slot that is off is not built.
    """

    def __init__(self, slot: str, *, optional: bool = False) -> None:
        assert slot not in SLOTS, f"slot {slot} is declared twice"
        self.slot = slot
        self.optional = optional
        self._components: dict[str, ComponentSpec[T]] = {}
        SLOTS[slot] = self

    def register(
        self,
        name: str,
        *,
        version: int = 1,
        files: tuple[str, ...] = (),
        epochs: str | None = None,
        warmup: str | None = None,
        normalization: str | None = None,
        place: str | None = None,
        draw: str | None = None,
        spans: Mapping[str, float] | None = None,
    ) -> Callable[[Factory], Factory]:
        """Class decorator that adds a component.

        What an option means is said here, as its name says nothing to the rest of the package.

        Args:
            name: What a study file writes.
            version: Part of each trial's fingerprint: raise it by hand when the component's numbers change.
            files: Options that name files whose content decides the result. A backbone that has any is
                taken as it is and never trained.
            epochs: Of an evaluation: the option that is its number of epochs.
            warmup: Of a crop or an evaluation: the option that is its warm-up in epochs. It is clipped where
                it does not fit the training's epochs (the evaluation's own), and shared out by a budget.
            normalization: Of a backbone: the option that says which mean and deviation its weights expect,
                `imagenet` or `data`; without any it is the data's.
            place: Of a data set that may hold any images: the option that is the path of their folder, whose
                name then says what they are.
            draw: Of a data set that draws its images, or their division into parts, at random: the option,
                a whole number from 0, that is the seed of that draw.
            spans: Of a crop: its options in epochs that may be None, each by its share of the training. A
                trial fills them in, so that a short training has the whole schedule, too.

        Raises:
            UserError: The slot already has a component of that name, or the component no such option.
        """

        def add(factory: Factory) -> Factory:
            present = self._components.get(name)
            if present is not None and present.factory is not factory:
                self._check_same(name, present.factory, factory)
            options = options_model(name, option_fields(factory))
            self._components[name] = ComponentSpec(
                self.slot,
                name,
                version,
                factory,
                options,
                files,
                epochs,
                warmup,
                normalization,
                place,
                draw,
                dict(spans or {}),
            )
            return factory

        return add

    def foresee(self, component: ComponentSpec[T]) -> None:
        """Add a component that is not imported yet, unless it is here already.

        Raises:
            UserError: The slot already has another component of that name.
        """
        present = self._components.setdefault(component.name, component)
        if not isinstance(present.factory, Deferred):
            self._check_same(component.name, component.factory, present.factory)

    def _check_same(self, name: str, before: Callable[..., T], after: Callable[..., Any]) -> None:
        """One that was foreseen may be registered where it was found; any other name is taken once."""
        if not isinstance(before, Deferred) or _origin(before) != _origin(after):
            raise UserError(
                f"{self.slot}: two components are called '{name}' "
                f"({_origin(before)} and {_origin(after)}); rename one"
            )

    def __iter__(self) -> Iterator[ComponentSpec[T]]:
        return iter(sorted(self._components.values(), key=lambda component: component.name))

    def __contains__(self, name: str) -> bool:
        return name in self._components

    def __getitem__(self, name: str) -> ComponentSpec[T]:
        """Look a component up.

        Raises:
            KeyError: No such component; the message names the nearest ones.
        """
        if name not in self._components:
            raise KeyError(f"no {self.slot} is called '{name}'; {suggest(name, self.names)}")
        return self._components[name]

    @property
    def names(self) -> list[str]:
        """The legal values of `name`, `none` among them where the slot is optional."""
        return sorted(self._components) + (["none"] if self.optional else [])


_SOURCE_MARK = "Source: "


def split_source(description: str) -> tuple[str, str]:
    """What an option means, and what its source says of it: all from the last `Source: ` on, if any."""
    meaning, mark, source = description.rpartition(_SOURCE_MARK)
    return (meaning.strip(), source.strip()) if mark else (source.strip(), "")


def option_docs(component: ComponentSpec[Any]) -> dict[str, str]:
    """Each option's description, from the `Args` section of the component's docstring."""
    documented = parse_docstring(component.facts.doc).params
    return {param.arg_name: " ".join((param.description or "").split()) for param in documented}


def option_fields(factory: Callable[..., Any]) -> Fields:
    """The options that a component's signature declares: its keyword-only parameters."""
    constructor = factory.__init__ if inspect.isclass(factory) else factory
    hints = get_type_hints(constructor, include_extras=True)
    return {
        name: (hints[name], ... if parameter.default is inspect.Parameter.empty else parameter.default)
        for name, parameter in inspect.signature(factory).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def options_model(name: str, fields: Fields) -> type[BaseModel]:
    """The model that checks a component's options and fills in their defaults."""
    config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        defer_build=True,  # of all components a study has a few
    )
    entries: dict[str, Any] = {
        option: (annotation, Field() if default is ... else default)
        for option, (annotation, default) in fields.items()
    }
    return create_model(f"{name}_options", __config__=config, **entries)


def _origin(factory: Callable[..., Any]) -> str:
    if isinstance(factory, Deferred):
        return f"{factory.module}.{factory.qualname}"
    return f"{factory.__module__}.{getattr(factory, '__qualname__', '?')}"
