"""Studies with a known truth, through the project's own search, race, confirmation and claims: ``make calibrate``."""
