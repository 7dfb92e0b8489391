"""The published contracts as tests: inherit a suite, supply the fixture, and pass.

Needs pytest; the models that play random operations need hypothesis as well.
"""
