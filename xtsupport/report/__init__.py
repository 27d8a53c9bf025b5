"""What a reader sees: figures, sentences, tables, the page."""
