"""A training that is only arithmetic, for tests of the house around it; never part of a real comparison."""
