"""The companies that a consent reaches: list them, describe them, and notice when one becomes another
company.

Begin with `discovery`. `same_company` is the one guard against reading another company's books in a company's
place; `resolution` carries out what a person decides then.
"""
