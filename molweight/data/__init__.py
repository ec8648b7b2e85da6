"""Molecules as data: tables, spelling, data sets, corpora, downloads and splits."""
