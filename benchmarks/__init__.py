"""Runnable measurements; each writes or prints its own table."""
