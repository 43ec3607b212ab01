"""What the code of a user's module raises: which of it is caught, and how it is told."""

FAILS = (Exception, SystemExit)
"""``sys.exit`` of a module would end identkit with the module's code and without a word."""


def said(error: BaseException) -> str:
    """The first line of what an error says, or its name.

    >>> said(ValueError("no luck")), said(ValueError()), said(SystemExit(3))
    ('no luck', 'ValueError', 'SystemExit 3')
    """
    if isinstance(error, SystemExit):
        return f"SystemExit {error.code}"[:100]
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
