"""Describes the clip lengths that a network can work with."""

from typing import NamedTuple


class Lengths(NamedTuple):
    """Holds clip lengths in samples: those in `values`, or every multiple of `multiple` if there are no values."""

    values: tuple[int, ...] = ()
    multiple: int = 1

    def nearest(self, clip_samples: int) -> int:
        """Returns the allowed length nearest to `clip_samples`.

        >>> Lengths(values=(4096, 16384)).nearest(5000), Lengths(multiple=256).nearest(5000)
        (4096, 5120)
        """
        if self.values:
            return min(self.values, key=lambda length: abs(length - clip_samples))
        return max(1, round(clip_samples / self.multiple)) * self.multiple

    def require(self, clip_samples: int, network: str) -> None:
        """Raises ValueError, which names the network, if it cannot work with this length."""
        if clip_samples != self.nearest(clip_samples):
            raise ValueError(
                f"clip_samples is {clip_samples}; {network} makes {self}; try {self.nearest(clip_samples)}"
            )

    def __str__(self) -> str:
        if not self.values:
            return f"multiples of {self.multiple}" if self.multiple > 1 else "clips of any length"
        *first, last = map(str, self.values)
        return f"{', '.join(first)} or {last}" if first else last
