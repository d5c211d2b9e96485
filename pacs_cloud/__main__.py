"""`python -m pacs_cloud` is the command line."""

from pacs_cloud.cli.app import main

if __name__ == "__main__":
    main()
