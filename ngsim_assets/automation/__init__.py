"""What runs by itself, whichever domain it builds; knows no domain."""
