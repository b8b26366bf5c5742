"""Who is told while sources are ingested: people, logs, metrics, Dagster."""
