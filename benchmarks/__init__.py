"""What it costs, against peers and against the limit. Run by hand, never as timed tests."""
