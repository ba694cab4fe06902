"""What we tell whom."""
