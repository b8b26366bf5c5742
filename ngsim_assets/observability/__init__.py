"""What the platform tells of itself while it works: metrics, logs, health. Knows no domain."""
