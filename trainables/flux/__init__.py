"""Flux behind the contract, and the Julia that it runs in: found and set up; never a clock, and never torch."""
