"""Figures, each a function of a DataFrame; never a statistic computed while drawing."""
