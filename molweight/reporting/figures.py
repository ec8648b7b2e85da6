"""The old name of :mod:`molweight.reporting.plots`."""

import warnings

from molweight.reporting.plots import *  # noqa: F403

warnings.warn("molweight.reporting.figures is molweight.reporting.plots now", FutureWarning, stacklevel=2)
