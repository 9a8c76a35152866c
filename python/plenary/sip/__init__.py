"""SIP without I/O: messages, transactions, dialogs, and the endpoint that joins them (RFC 3261)."""
