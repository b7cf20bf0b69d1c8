"""From a data set as it was published to what trainings get: split by index, images of 28 x 28, scaled to [0, 1].

MNIST and Fashion-MNIST keep their 10,000 test images, and every sixth training image (index % 6 == 5) is for
validation: 50,000 / 10,000 / 10,000. Digits: index % 5 == 3 is for validation, 4 for test: 1,079 / 359 / 359. No random
generator is involved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np
import numpy.typing as npt

from trainables.contract import LabelledImages, Split

IMAGE_SIZE = 28
SPLITS: tuple[Split, ...] = get_args(Split)

_Bytes = npt.NDArray[np.uint8]


def split_and_scale(arrays: Mapping[str, _Bytes], *, brightest: int) -> dict[Split, LabelledImages]:
    """The splits of a data set.

    Parameters
    ----------
    arrays
        ``images`` and ``labels``, or ``train_images``, ``train_labels``, ``test_images`` and ``test_labels``.
    brightest
        Pixel value that becomes 1.0.
    """
    return {split: _labelled(*part, brightest=brightest) for split, part in _split(arrays).items()}


def _split(arrays: Mapping[str, _Bytes]) -> dict[Split, tuple[_Bytes, _Bytes]]:
    if "images" in arrays:
        images, labels = _enlarge(arrays["images"]), arrays["labels"]
        fold = np.arange(len(labels)) % 5
        parts: dict[Split, npt.NDArray[np.bool_]] = {"train": fold < 3, "validation": fold == 3, "test": fold == 4}
        return {split: (images[chosen], labels[chosen]) for split, chosen in parts.items()}
    images, labels = arrays["train_images"], arrays["train_labels"]
    validation = np.arange(len(labels)) % 6 == 5
    return {
        "train": (images[~validation], labels[~validation]),
        "validation": (images[validation], labels[validation]),
        "test": (arrays["test_images"], arrays["test_labels"]),
    }


def _enlarge(images: _Bytes) -> _Bytes:
    """8 x 8 to 28 x 28: every pixel three times as wide and high, and a border of 2."""
    larger = images.repeat(3, axis=1).repeat(3, axis=2)
    return np.pad(larger, ((0, 0), (2, 2), (2, 2)))


def _labelled(images: _Bytes, labels: _Bytes, *, brightest: int) -> LabelledImages:
    scaled = images.astype(np.float32) / np.float32(brightest)
    return LabelledImages(scaled.reshape(-1, 1, IMAGE_SIZE, IMAGE_SIZE), labels.astype(np.int64))
