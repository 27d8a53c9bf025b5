"""The cube of per-example scores: its columns, where it is stored, single examples of it."""
