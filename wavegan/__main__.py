"""`python -m wavegan` is the command `wavegan`."""

from wavegan.cli import main

if __name__ == "__main__":
    main()
