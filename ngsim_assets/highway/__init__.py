"""The NGSIM domain: vehicle trajectories recorded from above, from file to quality report."""
