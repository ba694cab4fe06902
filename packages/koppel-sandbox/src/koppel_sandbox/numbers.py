"""Company numbers with valid check digits, from a counter.

The weights are those of the national registers.
"""


def _weighted_sum(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def kvk(seed: int) -> str:
    """Return a Dutch number: eight digits from 50,000,000 up whose weighted sum is a multiple of 11."""
    number = 50_000_000 + seed * 7919 % 43_000_000
    while _weighted_sum(str(number), (8, 7, 6, 5, 4, 3, 2, 1)) % 11:
        number += 1
    return str(number)


def organisasjonsnummer(seed: int) -> str:
    """Return a Norwegian number: eight digits and a check digit, modulus 11."""
    base = 910_000_00 + seed * 1237 % 9_000_000
    while (check := 11 - _weighted_sum(str(base), (3, 2, 7, 6, 5, 4, 3, 2)) % 11) == 10:
        base += 1
    return f"{base}{check % 11}"


def organisationsnummer(seed: int) -> str:
    """Return a Swedish number: Luhn, group 55 or 56 for limited companies."""
    base = f"556{100_000 + seed * 4441 % 899_999:06d}"
    total = sum(sum(divmod(int(digit) * (2 - place % 2), 10)) for place, digit in enumerate(base))
    return f"{base[:6]}-{base[6:]}{-total % 10}"


def cvr(seed: int) -> str:
    """Return a Danish number: eight digits, modulus 11, no leading zero."""
    number = 20_000_000 + seed * 6247 % 19_000_000
    while _weighted_sum(str(number), (2, 7, 6, 5, 4, 3, 2, 1)) % 11:
        number += 1
    return str(number)


def y_tunnus(seed: int) -> str:
    """Return a Finnish number: seven digits and a check digit, modulus 11.

    A remainder of 1 is never issued.
    """
    base = 1_000_000 + seed * 3313 % 1_900_000
    while (rest := _weighted_sum(str(base), (7, 9, 10, 5, 8, 4, 2)) % 11) == 1:
        base += 1
    return f"{base}-{(11 - rest) % 11}"
