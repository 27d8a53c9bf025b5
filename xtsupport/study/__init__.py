"""Settings, plan and execution of a study."""
