"""Let torchvision download a data set from its mirrors; run as a process of its own.

``python -m trainables.workloads.download MNIST FOLDER``. A separate process, because torch must not be imported
by the driver.
"""

from __future__ import annotations

import re
import sys


def reason(error: Exception) -> str:
    """Why it failed, in a line; torchvision's error lists its mirrors, with what each answered in the line below."""
    answers: dict[str, list[str]] = {}
    for mirror, answer in re.findall(r"^Tried (\S+), got:\n(.*)$", str(error), flags=re.MULTILINE):
        answers.setdefault(answer.strip(), []).append(mirror)
    if answers:
        return "; ".join(f"{answer} (from {' and '.join(mirrors)})" for answer, mirrors in answers.items())
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


if __name__ == "__main__":
    name, folder = sys.argv[1:]
    try:
        import torchvision

        getattr(torchvision.datasets, name)(root=folder, download=True)
    except Exception as error:  # whatever it is, one line tells it
        sys.exit(f"\nerror: {reason(error)}")  # a line of its own, after a progress bar
