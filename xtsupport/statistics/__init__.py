"""From a cube to verdicts: contrasts, inference, power, calibration."""
