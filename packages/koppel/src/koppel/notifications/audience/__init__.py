"""The administrations and people of an event (`hooks`), its receivers (`recipients`), and their preferences
(`preferences`).
"""
