"""Searches that train nothing: recorded curves stand in for trainings, and a virtual clock for time.

`table.py` and `dense.py` read what was recorded, `training.py` is one training that stands in for a real one,
`clock.py` runs trials on slots, `search.py` and `race.py` are the plan's own phases on it, by the samplers and the
rules of `study.strategy` that the driver runs, and `regret.py` says what came of them. Never here: a training, a
cluster, or a file that is written; of Ray only a scheduler's own object, where a plan names it (`tune.py`).
"""
