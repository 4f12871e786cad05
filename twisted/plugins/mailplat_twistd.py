"""Makes ``twistd mailplat`` known; everything else is imported when it is used."""

from twisted.application.service import ServiceMaker

mailplat = ServiceMaker(
    "mailplat",
    "mailplat.app.tap",
    "A mail server: SMTP, POP3 and IMAP, with TLS",
    "mailplat",
)
