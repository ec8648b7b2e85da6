"""Molecules: parsing, drawing, data sets, splits, and the network that looks at the pictures."""
