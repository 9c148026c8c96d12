"""One module for each revision of the ledger's schema. A published one is never edited."""
