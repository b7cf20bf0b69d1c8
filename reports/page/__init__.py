"""The page: its sections, templates and sentences, and the check of what is written; never a number of its own."""
