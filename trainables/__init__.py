"""The training itself: one contract, one stopwatch, for every framework; never a study, and no Ray but in one file.

Start with `contract`; then `training`, which times any backend; then one backend, in a room of its own.
"""
