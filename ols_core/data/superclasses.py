"""Superclasses of classes: CIFAR-100's published 20, or a folder's own `superclasses.csv`."""

from __future__ import annotations

import csv
from pathlib import Path

from ols_core.errors import DataError

__all__ = ["cifar100_superclasses", "read_superclasses"]

# Krizhevsky, "Learning multiple layers of features from tiny images", 2009; the data set's page.
_CIFAR100 = {
    "aquatic mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food containers": "bottle bowl can cup plate",
    "fruit and vegetables": "apple mushroom orange pear sweet_pepper",
    "household electrical devices": "clock keyboard lamp telephone television",
    "household furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large carnivores": "bear leopard lion tiger wolf",
    "large man-made outdoor things": "bridge castle house road skyscraper",
    "large natural outdoor scenes": "cloud forest mountain plain sea",
    "large omnivores and herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium-sized mammals": "fox porcupine possum raccoon skunk",
    "non-insect invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles 1": "bicycle bus motorcycle pickup_truck train",
    "vehicles 2": "lawn_mower rocket streetcar tank tractor",
}


def cifar100_superclasses(class_names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return CIFAR-100's superclass of each class, or None if these are not its 100 classes.

    Examples
    --------
    >>> cifar100_superclasses(("cat", "dog")) is None
    True
    """
    superclass_of = {name: sup for sup, names in _CIFAR100.items() for name in names.split()}
    if set(class_names) != set(superclass_of):
        return None
    return tuple(superclass_of[name] for name in class_names)


def read_superclasses(file: Path, class_names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Read `class,superclass` rows for all of `class_names`; None if there is no such file.

    Raises
    ------
    DataError
        If the header differs or a class has no row.
    """
    if not file.is_file():
        return None
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if reader.fieldnames is None or not {"class", "superclass"} <= set(reader.fieldnames):
            raise DataError(
                f"{file}: expected the header class,superclass, got {reader.fieldnames}."
            )
        superclass_of = {row["class"]: row["superclass"] for row in reader}
    absent = [name for name in class_names if not superclass_of.get(name)]
    if absent:
        raise DataError(
            f"{file}: no superclass for {', '.join(absent[:5])}; add a row for each class."
        )
    return tuple(superclass_of[name] for name in class_names)
