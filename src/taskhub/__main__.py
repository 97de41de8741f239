"""`python -m taskhub` is the command line."""

from taskhub.cli import main

if __name__ == "__main__":
    main()
