"""From a cube to verdicts: contrasts, inference, power, calibration."""


def __getattr__(name):
    if name == "compare":
        from xtsupport.statistics.comparisons import compare

        return compare
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
