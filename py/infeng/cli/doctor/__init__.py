"""What limits a machine, and what to do about it."""
