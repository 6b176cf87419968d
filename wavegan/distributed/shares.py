"""Divides the rows of a batch among the processes that train together, evenly or not."""

from typing import TYPE_CHECKING, NamedTuple

from wavegan.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


class Share(NamedTuple):
    """Holds the number of rows of a whole batch, and the slice of them that one process takes."""

    rows: int
    own: slice

    @property
    def own_rows(self) -> int:
        """Returns how many rows the process takes."""
        return self.own.stop - self.own.start

    def whole(self, count: int) -> int:
        """Returns how many rows all processes have where this one has `count`: its own, or twice for real and fake.

        Other rows, as the few clips on which arithmetic is tried, are not shared: their number stays.
        """
        return count if count % self.own_rows else count // self.own_rows * self.rows

    def part(self, drawn: "Tensor") -> "Tensor":
        """Returns the process's rows of whole batches, which lie behind one another."""
        return drawn.unflatten(0, (-1, self.rows))[:, self.own].flatten(0, 1)


def share_of(rank: int, world_size: int, rows: int, together: int) -> Share:
    """Returns a process's share: as many rows as any other, or `together` more or less.

    together: neighbours that belong together, so that no share ends between them; it divides `rows`. Raises UserError
    if there are fewer such groups than processes.
    """
    groups = rows // together
    if groups < world_size:
        parts = (
            f"{groups} groups of {together} clips, which `group` keeps together" if together > 1 else f"{rows} clips"
        )
        raise UserError(
            f"training.batch_size is {rows} and there are {world_size} processes",
            f"each takes at least one of the {parts}",
            f"start at most {groups} processes, or a new run with training.batch_size={world_size * together} or more",
        )
    first, end = (number * groups // world_size * together for number in (rank, rank + 1))
    return Share(rows, slice(first, end))
