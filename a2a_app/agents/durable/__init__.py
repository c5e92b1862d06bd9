"""Durable: the verbs whose results outlive a turn's processes, such as steps, sleeps and questions.

Each adds verbs to those of the one before: `approvals` asks people, `spending` counts what is used,
`steps` does things once, `sleep` waits, `inbox` hears what the client says meanwhile, and `asking`
has other agents do things. `Turn` is made of them all.
"""
