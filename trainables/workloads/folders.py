"""A user's folder with IDX files, as the publishers, torchvision or Kaggle name and lay them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

from trainables.common.errors import DatasetError


def check_folder(folder: Path) -> Path:
    """The folder, with ``~`` for a home; `DatasetError` where it is none that can be read."""
    try:
        folder = folder.expanduser()
        next(folder.iterdir(), None)
    except NotADirectoryError:
        raise DatasetError(f"--data-dir {folder} is a file; give the folder, unpacked") from None
    except FileNotFoundError:
        raise DatasetError(f"--data-dir {folder} does not exist") from None
    except RuntimeError:  # of expanduser
        raise DatasetError(f"--data-dir {folder} is in the home of a user that is not here") from None
    except OSError as error:
        raise DatasetError(f"--data-dir {folder} cannot be read ({error.strerror})") from None
    return folder


def candidates(places: Iterable[Path], name: str) -> Iterator[Path]:
    """Files of these folders that may be the one of this name.

    Kaggle writes ``train-images.idx3-ubyte`` for ``train-images-idx3-ubyte``, and unpacks a file into a folder of its
    name; any may be gzipped.
    """
    names = [name, name.replace("-idx", ".idx")]
    for place, spelt, ending in product(places, names, ("", ".gz")):
        for path in (place / f"{spelt}{ending}", *(place / each / f"{spelt}{ending}" for each in names)):
            try:
                if path.is_file():
                    yield path
            except OSError as error:  # a folder that is closed to this user
                raise DatasetError(f"{path} cannot be read ({error.strerror})") from None
