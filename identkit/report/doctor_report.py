"""What an installation has, at 80 columns."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from identkit import __version__
from identkit.doctor import Extra, Installation
from identkit.vocabulary import LibraryState

STYLES = {
    LibraryState.OK: "green",
    LibraryState.MISSING: "dim",
    LibraryState.TOO_OLD: "bold red",
    LibraryState.BROKEN: "bold red",
}


def terminal(found: Installation) -> RenderableType:
    """For a terminal; the last line counts what has to be mended."""
    threads = ", ".join(
        f"{count} {'usable cores' if who == 'cores' else f'threads of {who}'}"
        for who, count in found.threads.items()
    )
    blocks: list[RenderableType] = [
        Text(f"identkit {__version__}, Python {found.python}, {found.system}"),
        Text(f"threads: {threads}"),
        Text(f"device: cuda ({', '.join(found.gpus)})" if found.gpus else "device: none"),
        *(
            Text(
                f"compiled kernels: {own.folder}, {own.bytes / 1e6:.1f} MB, "
                f"{'writable' if own.writable else 'not writable: compiled anew each time'}"
            )
            for own in found.kept
        ),
    ]
    for extra in found.extras:
        blocks += [Text(""), _head(extra)]
        for own in extra.libraries:
            least = f" (at least {own.least})" if own.least else ""
            said = own.installed if own.state == LibraryState.OK else own.reason
            blocks.append(
                Text.assemble(f"  {own.name} ", (f"{said}", STYLES[own.state]), (least, "dim"))
            )
    problems = found.problems
    blocks.append(Text(""))
    blocks += [Text(problem, style="bold red") for problem in problems]
    count = len(problems)
    last = "nothing has to be mended" if not count else f"{count} to mend"
    return Group(*blocks, Text(f"{last}; extras not installed are needed for their commands only"))


def _head(extra: Extra) -> Text:
    with_others = f", with {', '.join(extra.includes)}" if extra.includes else ""
    missing = f": {extra.install}" if extra.missing else ""
    return Text(f"{extra.name or 'always needed'}{with_others}{missing}", style="bold")
