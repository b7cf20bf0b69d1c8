"""The proof that two frameworks compute the same training; never anything that is timed."""
