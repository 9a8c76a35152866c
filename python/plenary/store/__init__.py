"""What must survive: resources, the event log, SIP dialogs and the engine's position, in one SQLite file.

`store.Store` writes, in one transaction for each turn of the server; `views.Views` reads, for the API.
Failures are `errors.StoreError`.
"""
