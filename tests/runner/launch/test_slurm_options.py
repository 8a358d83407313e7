"""What `--slurm` takes, and what it leaves to the launcher."""

from __future__ import annotations

import pytest

from cmae_ablate.errors import UserError
from cmae_ablate.runner.launch.slurm_options import OWNED, sbatch_options


def test_keys_are_sbatchs_own_and_values_are_taken_as_typed() -> None:
    typed = ["time=04:00:00", "gres=gpu:a100:1", "constraint=a=b|c", "exclusive=", "signal=B:TERM@300"]
    assert sbatch_options(typed) == (
        "--time=04:00:00",
        "--gres=gpu:a100:1",
        "--constraint=a=b|c",
        "--exclusive",
        "--signal=B:TERM@300",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time", "KEY=VALUE is expected"),
        ("--time=1", "as time=1"),
        ("cpus_per_task=2", "as cpus-per-task=2"),
        ("=1", "KEY=VALUE is expected"),
        ("p=gpu", "the long name of an option"),
        ("signal=USR1@60", "signal=B:TERM@SECONDS"),
        ("signal=TERM@60", "signal=B:TERM@SECONDS"),
    ],
)
def test_another_form_is_refused_with_the_right_one(text: str, words: str) -> None:
    with pytest.raises(UserError, match=r"KEY=VALUE|signal=B:TERM") as caught:
        sbatch_options([text])
    assert f"--slurm {text}: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", sorted(OWNED))
def test_what_the_launcher_sets_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(UserError) as caught:
        sbatch_options([f"{name}=x"])
    assert f"sbatch's --{name} is set by --launcher slurm: {OWNED[name]}" in str(caught.value)


def test_an_abbreviation_that_sbatch_would_complete_is_refused_as_well() -> None:
    with pytest.raises(UserError, match="sbatch's --output is set"):
        sbatch_options(["outp=elsewhere"])
