"""Tables, figures and the page, made from a study's records and nothing else."""
