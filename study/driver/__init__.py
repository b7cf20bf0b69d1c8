"""One run of a study: its phases, the trials they deal, what is recorded and mended; never a question to the user."""
