"""Molecules as pictures: drawn by processes that may crash, kept on disk, turned and flipped in views."""
