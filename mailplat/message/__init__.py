"""RFC 5322 and MIME, pure: headers, scan, summary, trace."""
