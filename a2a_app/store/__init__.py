"""The store: the log of each task, the rows derived from it, and the one way to change them.

`writes.append` writes, `reads` reads, and `runs` records which worker works on which turn. The code
here is synchronous and short, and `database.run` calls it from asynchronous code. A run writes by a
`Writer`, which makes few transactions of many events.
"""
