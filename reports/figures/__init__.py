"""Figures, each a function of a DataFrame; never a statistic computed while drawing."""

from reports.figures.importing import import_matplotlib

import_matplotlib()  # before any module of this folder does
