"""dmcore: training of robust and verifiable networks, and their certification.

The library behind the pipeline. Its public entry points:

- :func:`dmcore.nets.build_net`
- :func:`dmcore.bounds.interval_bounds`, :func:`dmcore.bounds.double_margins`
- :func:`dmcore.certify.margin_bounds`
"""

__version__ = "0.1.0"
