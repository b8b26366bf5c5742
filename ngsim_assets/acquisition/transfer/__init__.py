"""Bytes over HTTP: polite, resumable, checked. No source, no store, no domain in here."""
