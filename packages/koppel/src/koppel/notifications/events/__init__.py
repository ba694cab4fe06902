"""Events: opened and closed by the app in which they happen (`services`), then dispatched once
(`dispatch`).
"""
