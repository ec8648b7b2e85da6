"""The molecules and labels of a table as a data frame, without how they were read."""

import pandas as pd

from molweight.data import table


def read_table(source, **options) -> pd.DataFrame:
    """Column ``smiles``, then a column for each target; options as of the function of this name."""
    return table.read_table(source, **options).frame
