"""A cube and what is compared in it: ``read_cube`` of ``cube.store``, ``compare`` of
``statistics.comparisons``."""


def __getattr__(name):
    if name == "read_cube":
        from xtsupport.cube.store import read_cube

        return read_cube
    if name == "compare":
        from xtsupport.statistics.comparisons import compare

        return compare
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
