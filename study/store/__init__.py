"""A study's folder: lock, log, journal, provenance, who may write what; never Ray."""
