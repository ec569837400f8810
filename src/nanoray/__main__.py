"""`python -m nanoray` is the command `nanoray`."""

from nanoray.commands.app import main

if __name__ == "__main__":
    main()
