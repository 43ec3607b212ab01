"""What a hostile or careless user sends: one module per kind, with a seeded generator.

Each module has ``cases(count, seed)``, an iterator of cases that are the same for the same seed,
and ``attempt(case, folder)``, which sends one case through the same door as a user's and returns
a short word for what happened (``accepted``, ``refused``). ``attempt`` raises AssertionError, with
the case in its text, where identkit did anything but succeed rightly or refuse in one sentence.
The suite runs a few of each; ``benchmarks/hostile.py`` runs thousands and reports the slowest.
"""
