"""Rules: constraints as column expressions, quarantine, and the report of quality."""
