"""The store: rows and the log, and the one way to change them.

`append` writes, `read` reads, `runs` says who works on what. Everything here is synchronous and
short; `database.run` is the one bridge to it from asynchronous code, and `Writer` the way a run
writes: many events, few transactions.
"""
