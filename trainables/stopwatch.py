"""The one stopwatch: where a trial's seconds went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Literal

Account = Literal["startup_s", "compile_s", "train_s", "data_s", "eval_s", "checkpoint_s"]
COLD: tuple[Account, ...] = ("startup_s", "compile_s", "train_s", "eval_s", "checkpoint_s")  # add up to the cold clock


@dataclass
class Ledger:
    """Seconds by account. ``data_s`` is part of ``train_s``; all the others add up to `total_s`."""

    startup_s: float = 0.0  # imports, reading the data set, building model and optimizer
    compile_s: float = 0.0  # warm-up on dummy data
    train_s: float = 0.0  # the warm clock: waiting for batches and optimizer steps
    data_s: float = 0.0  # the part of train_s spent waiting for a batch
    eval_s: float = 0.0
    checkpoint_s: float = 0.0  # saving, and loading after an interruption

    @property
    def total_s(self) -> float:
        """The cold clock: everything from the start of the process."""
        return sum(float(getattr(self, account)) for account in COLD)

    def charge(self, account: Account, seconds: float) -> None:
        """Add seconds to an account."""
        setattr(self, account, getattr(self, account) + seconds)

    def as_record(self) -> dict[str, float]:
        """Accounts by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Stopwatch:
    """Charges the ledger with the time that passes on a clock."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float]) -> None:
        self.ledger = ledger
        self.clock = clock

    @contextmanager
    def charging(self, *accounts: Account) -> Iterator[None]:
        """Charge what runs inside to each of these accounts, also when it fails."""
        started = self.clock()
        try:
            yield
        finally:
            for account in accounts:
                self.ledger.charge(account, self.clock() - started)
