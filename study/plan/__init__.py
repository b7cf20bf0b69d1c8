"""What a study is asked to do: plans, the shipped ones, the samplers they can name; never what became of it."""
