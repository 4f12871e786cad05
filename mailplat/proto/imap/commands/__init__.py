"""What an IMAP client asks, as frozen values: a module for each kind of command."""
