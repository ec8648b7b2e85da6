"""Learned task-adaptive pretraining for molecule images."""
