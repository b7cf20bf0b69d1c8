import numpy as np

CLASSES, SAMPLES, TURNS, NOISE = 3, 6000, 1.5, 0.2


def load():
    """Points on three arms of a spiral, and on which arm each lies.

    By split: features, float32 or uint8 (which becomes 0 to 1), and targets, classes from 0. Of train alone every fifth
    sample is for validation, and another for test; "validation" and "test" may be given, too.
    """
    random = np.random.RandomState(0)  # seeded: the data must be the same whenever this runs
    targets = np.arange(SAMPLES) % CLASSES
    radius = np.sqrt(random.uniform(0, 1, SAMPLES))
    angle = 2 * np.pi * (targets / CLASSES + TURNS * radius) + random.normal(0, NOISE, SAMPLES)
    features = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return {"train": (features.astype(np.float32), targets)}
