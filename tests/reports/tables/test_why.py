from __future__ import annotations

import numpy as np
import pytest

from reports.page.sections import why_section
from reports.sentences import plain, rows
from reports.tables import why
from reports.tables.statistics import quotient
from tests.reports.conftest import make, study, trial


def test_the_parts_add_up_to_the_whole_and_are_the_truth() -> None:
    """Flux needs 0.5 of the samples at 1.6 of the time each."""
    noise = np.random.RandomState(1)
    made = [trial("pytorch", "search", 0, 2.0), trial("flux", "search", 0, 2.0)]
    for number in range(12):
        samples = 1000 * np.exp(0.2 * noise.standard_normal())
        speed = 0.002 * np.exp(0.05 * noise.standard_normal())
        made.append(trial("pytorch", "confirm", number, samples * speed, samples_to_target=samples))
        made.append(
            trial("flux", "confirm", number, 0.5 * samples * 1.6 * speed, samples_to_target=round(0.5 * samples, 9))
        )
    parts = why.attribution(study(made).trials).set_index("part")
    assert parts["ratio"].tolist() == pytest.approx([0.8, 0.5, 1.6], rel=0.01)
    logs = parts["log_ratio"]
    assert logs["time to target"] == pytest.approx(logs["samples to target"] + logs["seconds per sample"], abs=1e-12)
    assert parts["share"].iloc[1:].sum() == pytest.approx(1.0)
    assert logs.tolist() == pytest.approx(np.log(parts["ratio"]).tolist())


def test_the_ledger_accounts_for_everything() -> None:
    accounts = why.ledger(make(0.8).trials).set_index("framework")
    assert accounts.loc["flux", "total_s"] == pytest.approx(
        accounts.loc["flux", [f"{account}_s" for account in why.ACCOUNTS]].sum()
    )
    assert accounts.loc["flux", "startup_s"] == 2.0


@pytest.mark.parametrize(
    ("startup_s", "ratio", "ahead_from", "against_ahead_from"),
    [(2.0 + 3.0, 0.5, 4.0, None), (2.0, 0.5, 1.0, None), (2.0 + 3.0, 1.5, None, 1.0), (1.0, 1.25, None, 3.0)],
    ids=["overtakes", "ahead", "behind", "overtaken"],
)
def test_break_even(startup_s: float, ratio: float, ahead_from: float | None, against_ahead_from: float | None) -> None:
    """PyTorch: 3 s once, 2 s each."""
    made = [trial("pytorch", "search", 0, 2.0), trial("flux", "search", 0, 2.0)]
    for number in range(3):
        made.append(trial("pytorch", "confirm", number, 2.0))
        made.append(trial("flux", "confirm", number, 2.0 * ratio, startup_s=startup_s))
    row = why.break_even(study(made).trials).iloc[0]
    for column, expected in (("ahead_from", ahead_from), ("against_ahead_from", against_ahead_from)):
        assert (None if np.isnan(row[column]) else row[column]) == expected
    for runs in range(1, 8):  # by adding up
        flux, pytorch = startup_s + 1.0 + runs * 2.0 * ratio, 3.0 + runs * 2.0
        if ahead_from is not None:
            assert (flux < pytorch) == (runs >= ahead_from)
        if against_ahead_from is not None:
            assert (pytorch < flux) == (runs >= against_ahead_from)


def test_when_it_pays_has_fiellers_interval() -> None:
    """About 24 s more once, and about a quarter of 4 s less each time; checked by adding up, seed by seed."""
    noise, made = np.random.RandomState(3), [trial("pytorch", "search", 0, 2.0), trial("flux", "search", 0, 2.0)]
    for number in range(8):
        jitter = 1 + 0.1 * noise.standard_normal(4)
        made.append(trial("pytorch", "confirm", number, 4.0 * jitter[0], startup_s=1.0 * jitter[1]))
        made.append(trial("flux", "confirm", number, 3.0 * jitter[2], startup_s=25.0 * jitter[3]))
    row = why.break_even(study(made).trials).iloc[0]
    confirmed = [each for each in made if each["phase"] == "confirm"]
    flux, pytorch = ([each for each in confirmed if each["framework"] == name] for name in ("flux", "pytorch"))

    def ahead(trainings: float) -> tuple[float, float]:
        """Ends of Student's interval of how far Flux is ahead after so many."""
        by = [
            one["startup_s"] + trainings * one["train_s"] - other["startup_s"] - trainings * other["train_s"]
            for one, other in zip(flux, pytorch, strict=True)
        ]
        half = 2.3646 * np.std(by, ddof=1) / np.sqrt(8)
        return np.mean(by) - half, np.mean(by) + half

    assert ahead(row["ahead_from_low"] - 2)[0] > 0 > ahead(row["ahead_from_low"])[0]  # behind before that
    assert ahead(row["ahead_from_high"] - 2)[1] > 0 > ahead(row["ahead_from_high"])[1]  # ahead from there on
    assert row["ahead_from_low"] < row["ahead_from"] < row["ahead_from_high"] < 100
    assert np.isnan(row["against_ahead_from"])
    assert row["later_s"] == -row["against_later_s"] == pytest.approx(24, rel=0.2)
    assert row["saves"] == pytest.approx(0.25, abs=0.1)
    assert row["ahead_in_s"] == pytest.approx(row["ahead_from"] * row["each_against_s"], rel=0.1)


def test_quotients_without_an_upper_end_and_none() -> None:
    noise = np.random.RandomState(0).standard_normal(8)
    unsure = quotient(10.0 + 0.1 * noise, noise - 0.5)
    assert unsure.value > 0
    assert 0 < unsure.low < unsure.value < unsure.high == np.inf
    assert np.isnan(quotient(10.0 + noise, -1.0 + 0.1 * noise).value)
    assert quotient(noise, np.full(8, 1.0)).low < 0 < quotient(noise, np.full(8, 1.0)).high
    assert not quotient(np.full(3, 8.0), np.full(3, 2.0)).has_interval  # too few
    exact = quotient(np.full(6, 8.0), np.full(6, 2.0))
    assert (exact.low, exact.value, exact.high) == (4.0, 4.0, 4.0)


def test_the_reason_in_words() -> None:
    section = why_section(make(0.8).trials)
    assert section is not None
    said = " ".join(plain(sentence) for sentence in section.said)
    assert "of PyTorch's warm time is 1.00x of the samples to the target, times 0.8" in said
    assert "Flux is ahead of PyTorch from training 1" in said
    assert all(row["pairs"] == 10 for row in rows("attribution", why.attribution(make(0.8).trials)))


def test_no_overtaking_is_claimed_without_a_difference() -> None:
    def told(spread: float) -> str:
        made = [trial("pytorch", "search", 0, 2.0), trial("flux", "search", 0, 2.0)]
        noise = np.random.RandomState(0)
        for number in range(8):
            made.append(trial("pytorch", "confirm", number, 2.0 * np.exp(spread * noise.standard_normal())))
            made.append(trial("flux", "confirm", number, 1.9 * np.exp(spread * noise.standard_normal()), startup_s=9.0))
        section = why_section(study(made).trials)
        assert section is not None
        return " ".join(map(plain, section.said))

    assert "Flux overtakes PyTorch with training" in told(0.0)
    assert "no overtaking is shown" in told(0.5)


def test_why_says_among_which_runs() -> None:
    section = why_section(make(0.8, flux_misses=3).trials)
    assert section is not None
    assert plain(section.said[0]).startswith("Among the 7 seeds with which both reached the target, Flux's 0.")
    whole = why_section(make(0.8).trials)
    assert whole is not None
    assert plain(whole.said[0]).startswith("Flux's 0.")
