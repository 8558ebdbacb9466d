"""``python -m doublemargin``, as the rules call it."""

from doublemargin.cli import main

if __name__ == "__main__":
    main()
