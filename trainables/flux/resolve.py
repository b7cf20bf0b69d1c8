"""juliapkg at work, in a process of its own that can be ended: ``trainables.flux.resolve [CUDA=UUID ...]``.

It finds or downloads a Julia and installs what the juliapkg.json files of the installed packages ask for.
"""

from __future__ import annotations

import sys

import juliapkg

if __name__ == "__main__":
    for argument in sys.argv[1:]:
        name, _, uuid = argument.partition("=")
        juliapkg.add(name, uuid)
    juliapkg.resolve(force=True)
