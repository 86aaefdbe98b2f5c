"""``python -m hitlens`` is the command ``hitlens``; launchers such as torchrun start modules."""

from hitlens.cli import main

if __name__ == "__main__":
    main()
