"""Whether a worker finds the study and the data that the command which started it began with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cmae_ablate.checkpoint import text_digest
from cmae_ablate.errors import UserError
from cmae_ablate.runner.experiment import Experiment
from cmae_ablate.study.design import reference_label, variants
from cmae_ablate.study.loading import Study

VARIABLE = "CMAE_ABLATE_BEGUN_WITH"
"""Environment variable of workers that a command starts, on this machine or by Ray."""
AGAIN = (
    "nothing finished is lost; give the same command again: it takes all as it is now, and keeps what is "
    "complete of it"
)


@dataclass(frozen=True)
class BegunWith:
    """What a command began with.

    Attributes:
        study: Digests of what the study file, its scale and the installed components decide, by name.
        data: Digests of the prepared data, by the dataset's resolved options.
    """

    study: Mapping[str, str]
    data: Mapping[str, str]

    @classmethod
    def of(cls, study: Study, experiment: Experiment) -> BegunWith:
        """Of a study as it was loaded; its experiment may since have got a search's winners."""
        parts = {
            "variants": [(each.label, each.spec.fingerprint("")) for each in variants(study)],
            "seeds": study.seeds if study.rule is None else study.rule.to_json(),
            "metric": study.metric,
            "reference": reference_label(study),
            "budget": study.budget,
            "search": "" if study.search is None else study.search.identity,
        }
        digests = {name: text_digest(json.dumps(part))[:16] for name, part in parts.items()}
        return cls(digests, {text_digest(key)[:16]: data.digest for key, data in experiment.data.items()})

    def environment(self) -> dict[str, str]:
        """For the workers."""
        return {VARIABLE: json.dumps(asdict(self))}

    def changed(self, now: BegunWith) -> str:
        """What is another now, in words; empty where nothing is."""
        differing = [name for name, digest in self.study.items() if now.study.get(name) != digest]
        if differing:
            return f"the study file, its scale or a component was edited ({', '.join(differing)})"
        if dict(now.data) != dict(self.data):
            return "the images of its data set, or what they are called, are others"
        return ""


def check_unchanged(study: Study, experiment: Experiment) -> None:
    """Refuse to train other cells than the command that started this worker counts.

    Raises:
        UserError: The study or its data changed since.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        return  # a worker that nobody started, or one that a user did
    found = json.loads(text)
    changed = BegunWith(found["study"], found["data"]).changed(BegunWith.of(study, experiment))
    if changed:
        raise UserError(f"{study.path}: changed meanwhile: {changed}; {AGAIN}")
