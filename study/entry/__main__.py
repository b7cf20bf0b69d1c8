"""``python -m tuneoff``: the ``tuneoff`` command."""

import os
import sys

if not sys.flags.safe_path and sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(os.curdir):
    del sys.path[0]  # `python -m` puts the working folder there

from tuneoff import main

main()
