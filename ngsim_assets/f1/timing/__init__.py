"""From messages of the timing feeds to laps and stints."""
