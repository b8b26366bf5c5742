"""Tables: what they are made of, how they are written, versioned and found again."""
