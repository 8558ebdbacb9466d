"""Data sets: one prepared file each (uint8 images, labels, provenance), which is all that training reads."""

from dmcore.data.prepared import ImageSet, Split, load_images, pixels, test_points

__all__ = ["ImageSet", "Split", "load_images", "pixels", "test_points"]
