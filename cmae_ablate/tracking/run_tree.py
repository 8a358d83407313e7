"""The tree of runs in MLflow: study > variant > seed, found again by what they stand for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cmae_ablate.tracking.tracker import CellId, CellKey, Status

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PARENT = "mlflow.parentRunId"
NAME = "mlflow.runName"
NOTE = "mlflow.note.content"
RUN_TYPE, EVALUATION = "mlflow.runType", "evaluation"
KIND, KEY, VARIANT, SEED, FINGERPRINT, OLDER = (
    "cmae.kind",
    "cmae.key",
    "variant",
    "seed",
    "fingerprint",
    "cmae.older_settings",
)
Kind = Literal["study", "variant", "seed", "older", "replaced"]
OWN_NOTE = "cmae.note"
OLDER_NAME = "older settings"
PAGE = 1000
_ACTIVE = 1  # MLflow's ViewType.ACTIVE_ONLY, without importing MLflow


class RunTree:
    """One study's experiment and its runs.

    Args:
        client: Of a store that answers.
        study: The experiment's name.
        artifacts: Folder for a new experiment's artifacts; None lets a server decide.
    """

    def __init__(self, client: MlflowClient, study: str, artifacts: Path | None) -> None:
        self.client = client
        self._study = study
        self.experiment = self._find_experiment(artifacts)
        self._known: dict[str, str] = {}

    def study_run(self) -> str:
        """The study's run id; created if need be."""
        return self._find_or_create("study", self._study, None, {})[0]

    def variant_run(self, variant: str) -> str:
        """A variant's run id; created if need be."""
        return self._find_or_create("variant", variant, self.study_run(), {VARIANT: variant})[0]

    def seed_run(self, variant: str, seed: int, fingerprint: str) -> tuple[str, bool]:
        """A cell's run id, and whether it was there before."""
        tags = _seed_tags(variant, seed, fingerprint)
        return self._find_or_create("seed", _seed_name(variant, seed), self.variant_run(variant), tags)

    def known_seed_run(self, variant: str, seed: int, fingerprint: str) -> str | None:
        """A cell's run id; None where it has none."""
        return self._find("seed", _seed_tags(variant, seed, fingerprint))

    def describe(self, text: str) -> None:
        """Say above the list of runs what the study found, unless somebody wrote there."""
        tags = self.client.get_experiment(self.experiment).tags
        if tags.get(NOTE, "") in ("", tags.get(OWN_NOTE)):
            for name in (NOTE, OWN_NOTE):
                self.client.set_experiment_tag(self.experiment, name, text)

    def set_running(self, variant: str, run_id: str) -> None:
        """Mark a cell's run and those above it as running."""
        for each in (self.study_run(), self.variant_run(variant), run_id):
            if self.client.get_run(each).info.status != "RUNNING":
                self.client.update_run(each, status="RUNNING")

    def end_stale(self, running: Collection[CellKey], complete: Collection[CellKey], groups: bool) -> None:
        """End every run marked RUNNING below which nothing runs; those of complete cells are FINISHED.

        Those of the study and its variants are left alone unless `groups`.
        """
        busy = {variant for variant, _ in running}
        for run in list(self._runs("attributes.status != 'FINISHED'")):
            tags = run.data.tags
            kind, is_running = tags.get(KIND), run.info.status == "RUNNING"
            status: Status = "KILLED"
            if kind == "seed" and OLDER not in tags:
                variant, seed, _ = _cell_of(tags)
                if (variant, seed) in running:
                    continue
                status = "FINISHED" if (variant, seed) in complete else "KILLED"
            elif kind in ("study", "variant"):
                is_busy = bool(busy) if kind == "study" else tags.get(VARIANT) in busy
                if is_busy or not groups:
                    continue
            elif kind == "older":
                status = "FINISHED"
            if is_running or status == "FINISHED":
                self.client.set_terminated(run.info.run_id, status)

    def end_groups(self, status: Status) -> None:
        """End the runs of the study and of all variants."""
        self.study_run()
        for run in list(self._runs(f"attributes.status != '{status}'")):
            if run.data.tags.get(KIND) not in ("seed", None):
                self.client.set_terminated(run.info.run_id, status)

    def untold(self, done: Collection[CellId]) -> list[CellId]:
        """Which of these cells have no run that is FINISHED, and none that the user deleted."""
        from mlflow.entities import ViewType

        told = set()
        for run in self._runs("", ViewType.ALL):
            if run.info.status == "FINISHED" or run.info.lifecycle_stage == "deleted":
                told.add(_cell_of(run.data.tags))
        return [cell for cell in done if cell not in told]

    def sort(self, current: Collection[tuple[str, int, str]]) -> None:
        """Move the runs of cells that the study no longer has below 'older settings', and back again.

        Args:
            current: Variant, seed and fingerprint of each cell of the study.
        """
        variants = {variant for variant, _, _ in current}
        for run in list(self._runs("")):
            tags, run_id = run.data.tags, run.info.run_id
            kind = tags.get(KIND)
            variant, seed, fingerprint = _cell_of(tags)
            if not variant or (kind == "seed" and seed < 0):
                continue  # somebody edited its tags
            if kind == "seed":
                is_current = (variant, seed, fingerprint) in current
            elif kind == "variant":
                is_current = variant in variants
            else:
                continue
            if is_current and OLDER in tags:
                self.client.delete_tag(run_id, OLDER)
            elif not is_current and OLDER not in tags:
                self.client.set_tag(run_id, OLDER, "true")
            if not is_current:
                parent = self._older_run()
            else:
                parent = self.variant_run(variant) if kind == "seed" else self.study_run()
            wanted = {PARENT: parent, RUN_TYPE: EVALUATION}
            if run.info.run_name == f"seed {seed}":  # as version 0.1 called it
                wanted[NAME] = _seed_name(variant, seed)
            for name, text in wanted.items():
                if tags.get(name) != text:
                    self.client.set_tag(run_id, name, text)

    def replace_variant(self, variant: str) -> str:
        """A new run for a variant, whose old one moves below 'older settings'; its id."""
        old = self.variant_run(variant)
        for name, text in {KIND: "replaced", OLDER: "true", PARENT: self._older_run(), KEY: ""}.items():
            self.client.set_tag(old, name, text)
        del self._known[_key("variant", {VARIANT: variant})]
        return self.variant_run(variant)

    def _older_run(self) -> str:
        return self._find_or_create("older", OLDER_NAME, self.study_run(), {})[0]

    def _find_or_create(
        self, kind: Kind, name: str, parent: str | None, tags: Mapping[str, str]
    ) -> tuple[str, bool]:
        known = self._find(kind, tags)
        if known is not None:
            return known, True
        key = _key(kind, tags)
        named = {**tags, KIND: kind, KEY: key, "mlflow.source.name": "cmae-ablate"}
        named |= {PARENT: parent} if parent else {}
        named |= {RUN_TYPE: EVALUATION} if kind in ("variant", "seed") else {}
        run_id = str(self.client.create_run(self.experiment, tags=named, run_name=name).info.run_id)
        self._known[key] = run_id
        return run_id, False

    def _find(self, kind: Kind, tags: Mapping[str, str]) -> str | None:
        key = _key(kind, tags)
        if key not in self._known:
            found = next(self._runs(f"tags.`{KEY}` = '{key}'"), None)
            if found is None:
                return None
            self._known[key] = str(found.info.run_id)
        return self._known[key]

    def _runs(self, condition: str, view: int = _ACTIVE) -> Iterator[Run]:
        """Oldest first: where two hosts made one run twice, all agree on which counts."""
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment], condition, view, PAGE, ["start_time ASC"], page_token=token
            )
            yield from list(page)
            token = page.token
            if not token:
                return

    def _find_experiment(self, artifacts: Path | None) -> str:
        found = self.client.get_experiment_by_name(self._study)
        if found is None:
            place = None if artifacts is None else artifacts.resolve().as_uri()
            # Without it the UI opens on its pages for language models.
            tags = {"mlflow.experimentKind": "custom_model_development"}
            return str(self.client.create_experiment(self._study, place, tags))
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def _cell_of(tags: Mapping[str, str]) -> CellId:
    """The cell that a run's tags name; none at all where somebody edited or deleted them."""
    seed = tags.get(SEED, "")
    return tags.get(VARIANT, ""), int(seed) if seed.isdecimal() else -1, tags.get(FINGERPRINT, "")


def _seed_name(variant: str, seed: int) -> str:
    return f"{variant}, seed {seed}"


def _seed_tags(variant: str, seed: int, fingerprint: str) -> dict[str, str]:
    return {VARIANT: variant, SEED: str(seed), FINGERPRINT: fingerprint}


def _key(kind: Kind, tags: Mapping[str, str]) -> str:
    """A label may hold any character and a filter may not: what is searched for is a hash."""
    return hashlib.sha256(json.dumps([kind, sorted(tags.items())]).encode()).hexdigest()[:32]
