"""Pages that show an evaluation: reports, comparisons, the listening test, and the charts and pictures in them."""
