"""Let torchvision download a data set from its mirrors; run as a process of its own.

``python -m trainables.workloads.download MNIST FOLDER``. A separate process, because torch must not be imported
by the driver.
"""

from __future__ import annotations

import sys

import torchvision

if __name__ == "__main__":
    name, folder = sys.argv[1:]
    getattr(torchvision.datasets, name)(root=folder, download=True)
