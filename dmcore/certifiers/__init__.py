"""Certifiers: lower bounds of the margins z_y − z_j over a ball. One file each; the file registers its certifier."""

from dmcore.certifiers.certifier import Certifier

__all__ = ["Certifier"]
