"""``python -m study`` is the ``tuneoff`` command."""

import signal

# Until it has handlers of its own; and threads that libraries start when they are imported leave signals to the others.
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))

from study.cli.commands import main

main()
