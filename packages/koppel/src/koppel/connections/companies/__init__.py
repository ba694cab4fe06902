"""The companies that a consent reaches: found, described, and watched for becoming another one.

Begin with `discovery`. `same_company` is the one guard that no other company's books are read in a company's
place; what a person decides then is in `resolution`.
"""
