from trainables.workloads.datasets import images_of


def load(data_dir=None):
    """Fashion-MNIST, train and test; from a folder of IDX files where one is given."""
    return images_of("fashion", data_dir)
