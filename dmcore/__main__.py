"""``python -m dmcore``, as the rules call it."""

from dmcore.cli import main

if __name__ == "__main__":
    main()
