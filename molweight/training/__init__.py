"""Training around the optimiser: tasks and their metrics, batches, finetuning, checkpoints. Torch only."""
