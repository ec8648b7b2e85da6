"""The old name of :mod:`molweight.reporting.report`."""

import warnings

from molweight.reporting.report import *  # noqa: F403

warnings.warn("molweight.reporting.content is molweight.reporting.report now", FutureWarning, stacklevel=2)
