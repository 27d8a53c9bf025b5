"""The generated languages and their tasks, written to disk as a mirror."""
