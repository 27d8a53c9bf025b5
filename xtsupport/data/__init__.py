"""Tasks, languages and examples: tables, one loader for hub and mirrors, the generated world."""
