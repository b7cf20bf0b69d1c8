"""``python -m study`` is the ``tuneoff`` command."""

from study.cli.commands import main

main()
