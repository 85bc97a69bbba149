"""`python -m imgcls` is `imgcls`."""

from imgcls.cli import main

main()
