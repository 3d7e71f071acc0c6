"""Runs, model versions and decisions: what was done, by whom, and which version serves."""
