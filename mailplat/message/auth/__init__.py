"""Who sent a message, as far as it can be proved: DKIM, SPF, DMARC, ARC."""
