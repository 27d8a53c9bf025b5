"""The cube of per-example scores and everything that is concluded from it."""
