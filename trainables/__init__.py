"""The training itself: one contract, one stopwatch, one backend file per framework."""
