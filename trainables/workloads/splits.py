"""The splits: those that the data name, and where they name fewer than three the rest by index.

With train and test alone every sixth training sample (index % 6 == 5) is for validation. With train alone index % 5
== 3 is for validation, and index % 5 == 4 for test. No random generator is involved.
"""

from __future__ import annotations

from typing import get_args

from trainables.common.errors import DatasetError
from trainables.common.suggest import nearest
from trainables.contract import Split
from trainables.workloads.columns import Column, Parts

SPLITS: tuple[Split, ...] = get_args(Split)


def complete(parts: Parts, said: str) -> dict[Split, tuple[Column, Column]]:
    """All three splits.

    Parameters
    ----------
    said
        Where the parts come from, to begin a message with.

    Raises
    ------
    DatasetError
        When a split is missing, or there is one of another name.
    """
    for name in parts:
        if name not in SPLITS:
            raise DatasetError(f"{said}: there is a split '{name}'{nearest(name, SPLITS)}")
    if "train" not in parts:
        raise DatasetError(f"{said}: there is no train split; give train alone, train and test, or all three")
    features, targets = parts["train"]
    if set(parts) == {"train"}:
        return {
            "train": (features.where(lambda index: index % 5 < 3), targets.where(lambda index: index % 5 < 3)),
            "validation": (features.where(lambda index: index % 5 == 3), targets.where(lambda index: index % 5 == 3)),
            "test": (features.where(lambda index: index % 5 == 4), targets.where(lambda index: index % 5 == 4)),
        }
    if "test" not in parts:
        raise DatasetError(f"{said}: there is no test split; give test, too, or train alone, of which the rest is cut")
    if "validation" not in parts:
        return {
            "train": (features.where(lambda index: index % 6 != 5), targets.where(lambda index: index % 6 != 5)),
            "validation": (features.where(lambda index: index % 6 == 5), targets.where(lambda index: index % 6 == 5)),
            "test": parts["test"],
        }
    return {split: parts[split] for split in SPLITS}
