"""Where data sets come from: places, downloads and file formats. Only the preparation uses this, never a training."""

from doublemargin.experiment.sources.prepare import prepare

__all__ = ["prepare"]
