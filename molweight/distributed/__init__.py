"""One run on several processes: collectives, batch norm over all of them, and how they start and end."""
