"""Keys of vouchers, whose numbers repeat in real files."""

from ledger_formats.sie.model import Voucher


def entry_keys(vouchers: list[Voucher], years: dict[int, str]) -> list[str]:
    """Return a key for each voucher that no other has: year, series and number.

    Voucher numbers repeat in real files, and may be missing. The first keeps its number, another one gets
    `-2` and so on, but never a number that a voucher has of its own.
    """
    plain = [f"{years[one.year]}-{one.series}{one.number}" for one in vouchers]
    used, seen, counts = set(plain), set[str](), dict[str, int]()
    keys = []
    for number in plain:
        key = number
        if number in seen:
            count = counts.get(number, 1) + 1
            while (key := f"{number}-{count}") in used:
                count += 1
            counts[number] = count
            used.add(key)
        seen.add(number)
        keys.append(key)
    return keys
