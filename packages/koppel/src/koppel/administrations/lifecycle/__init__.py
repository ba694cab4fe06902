"""How an administration ends: taken back, left by its client, blocked, erased; and which one it continues."""
