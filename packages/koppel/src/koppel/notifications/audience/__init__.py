"""Whom an event concerns (`hooks`), who is told of it (`recipients`), and what each person chose (`preferences`)."""
