"""Linear forms ``A z + b`` of a network's values.

- :mod:`coefficients`: the matrix ``A``: dense, kept at receptive-field size, or not written out at all
- :mod:`forms`: what a substitution carries
- :mod:`concretize`: how far such forms move over a ball of any norm
- :mod:`budget`, :mod:`chunks`: memory, and the points that are taken at once

Nothing of it is imported here: who uses one module shall not depend on the others.
"""
