"""A study's params file: its settings, the rules they must keep, what a broken one is told."""
