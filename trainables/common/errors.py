"""The two kinds of bad news that are not bugs."""


class UserError(Exception):
    """Something the user can put right: one line that says what, where and what to do.

    The command line prints it on stderr and exits with code 2.
    """


class DatasetError(UserError):
    """A data set that is missing, incomplete or not what its checksum says."""
