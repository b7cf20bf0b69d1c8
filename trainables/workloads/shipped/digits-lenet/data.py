from trainables.workloads.datasets import images_of


def load(data_dir=None):
    """scikit-learn's handwritten digits, enlarged to 28 x 28; they are installed, whatever folder is given."""
    return images_of("digits", data_dir)
