"""The engine: claim, lease, heartbeat, fence, retry, dead letter, cancel and drain, once, for every job type and queue.

delivery -> Intake (decode, admit, lock, claim) -> Executor (the handler's process) -> Settler (ledger, lock, queue)
             Keeper (renew, watch, stall) beside it        Waker (owner of whatever got stuck) beside that
"""
