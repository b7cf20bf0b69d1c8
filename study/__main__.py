"""``python -m study`` is the ``tuneoff`` command."""

from study.cli import main

main()
