"""What an hour of hardware costs, kept with the study: whoever reports on it later need not know it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf

from reports.tables.cost import Price
from study.plan.plan import SlicePlan
from study.store.folder import StudyFolder
from trainables.common.digits import plain
from trainables.common.errors import UserError
from trainables.common.files import write_text


def checked(gpu_hour: float | None, cpu_hour: float | None) -> Price:
    """Prices as they were given; `UserError` where one is none."""
    for flag, price in (("--gpu-hour", gpu_hour), ("--cpu-hour", cpu_hour)):
        if price is not None and not 0 <= price < inf:
            raise UserError(f"{flag} is {plain(price)}; a price is a finite number, 0 or above")
    return Price(gpu_hour=gpu_hour, cpu_hour=cpu_hour)


def keep(folder: StudyFolder, given: Price) -> None:
    """Keep prices for this and later reports; one that is not given stays, 0 takes it away."""
    if not given.given:
        return
    kept = kept_price(folder, say=lambda _: None)
    prices = {
        name: value
        for name in ("gpu_hour", "cpu_hour")
        if (value := getattr(given, name) if getattr(given, name) is not None else getattr(kept, name))
    }
    if prices:
        write_text(folder.price, json.dumps(prices, indent=2) + "\n")
    else:
        folder.price.unlink(missing_ok=True)


def slice_hour(price: Price, asked: SlicePlan) -> float:
    """What an hour of a slice costs; 0 where that is not known."""
    return asked.gpus * (price.gpu_hour or 0.0) + asked.cpus * (price.cpu_hour or 0.0)


def kept_price(folder: StudyFolder, *, say: Callable[[str], None]) -> Price:
    """The prices that the study was given.

    Parameters
    ----------
    say
        Told where they cannot be read; the report then has none.
    """
    if not folder.price.exists():
        return Price()
    try:
        values = json.loads(folder.price.read_text(encoding="utf-8"))
        return checked(values.get("gpu_hour"), values.get("cpu_hour"))
    except (OSError, ValueError, TypeError, AttributeError, UserError) as error:
        say(f"{folder.price} cannot be read ({error}); no cost in money. Give --gpu-hour or --cpu-hour again")
        return Price()
