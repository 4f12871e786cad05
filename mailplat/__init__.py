"""A mail platform on Twisted: SMTP, POP3 and IMAP over pluggable stores, filters and agents."""
