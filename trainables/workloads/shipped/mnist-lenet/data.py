from trainables.workloads.datasets import images_of


def load(data_dir=None):
    """MNIST, train and test; from a folder of IDX files where one is given."""
    return images_of("mnist", data_dir)
