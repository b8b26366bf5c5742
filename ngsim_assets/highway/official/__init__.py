"""NGSIM where its publisher keeps it: the data portal's export, queries and attached archives."""
