"""Networks that look at pictures, their shipped weights, and the baseline without a network."""
