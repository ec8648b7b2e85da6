"""``--multirun``: every combination of the values that a command lists, each run in a folder of its own.

It reads top down: ``options`` (what the words of a command ask for), ``plan`` (the runs, composed and checked
before the first one starts), ``sweep`` (what is left of them is run; ``molweight.jobs`` knows how) and
``table`` (how each ended).
"""
