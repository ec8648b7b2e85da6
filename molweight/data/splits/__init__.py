"""Which molecules train, which choose, which are tested."""
